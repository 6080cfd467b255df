//! Whom TLS trusts: the authorities that the system knows, or those of the file that `SSL_CERT_FILE`
//! (or the folder that `SSL_CERT_DIR`) names, as for other programs. Clients of Redis and RabbitMQ
//! look there by themselves.

use std::sync::OnceLock;

use tokio_rustls::rustls::pki_types::CertificateDer;

/// Read once. Without any, every certificate is refused, and the log says so.
pub fn roots() -> &'static [CertificateDer<'static>] {
    static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let read = rustls_native_certs::load_native_certs();
        for error in read.errors {
            tracing::warn!(%error, "certificates of the system cannot be read");
        }
        if read.certs.is_empty() {
            tracing::warn!(
                "TLS trusts nobody: install ca-certificates, or name a PEM file in SSL_CERT_FILE"
            );
        }
        read.certs
    })
}
