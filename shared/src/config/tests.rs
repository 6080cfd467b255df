//! The configuration as an operator meets it: through variables and a file.

use std::io::Write;

use super::*;

fn load<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, ConfigError> {
    Config::load(&variables)
}

fn problems<const N: usize>(variables: [(&str, &str); N]) -> String {
    load(variables).unwrap_err().to_string()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(text: &str) -> Result<Config, ConfigError> {
    load([("MOIM_CONFIG", file(text).path().to_str().unwrap())])
}

#[test]
fn nothing_at_all_is_a_good_configuration() {
    let config = load([]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.limits.message_max, Size::kib(1228));
    assert_eq!(config.limits.idle_timeout, None);
    assert_eq!(config.auth.skew, Span::secs(60));
}

#[test]
fn the_file_beats_defaults_and_the_environment_beats_the_file() {
    let file = file("listen = '0.0.0.0:1'\n[limits]\nsend_rate = 5\nsend_burst = 7\n");
    let path = file.path().to_str().unwrap();
    let config = load([("MOIM_CONFIG", path), ("MOIM_LIMITS__SEND_RATE", "6")]).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:1");
    assert_eq!((config.limits.send_rate, config.limits.send_burst), (6, 7));
    assert_eq!(config.limits.subscriptions, 256);
}

#[test]
fn values_are_typed() {
    let config = load([
        ("MOIM_LIMITS__SEND_DEADLINE", "1.5s"),
        ("MOIM_LIMITS__MESSAGE_MAX", "1.2MiB"),
        ("MOIM_LIMITS__IDLE_TIMEOUT", "5m"),
        ("MOIM_AUTH__CLOSE_ON_EXP", "true"),
        ("MOIM_LOG", "info,moim=debug"),
        ("MOIM_LOG__FORMAT", "json"),
        ("MOIM_ADMIN_LISTEN", "[::1]:9090"),
        ("MOIM_WORKERS", "3"),
    ])
    .unwrap();
    assert_eq!(config.limits.send_deadline, Span::millis(1_500));
    assert_eq!(config.limits.message_max, Size::bytes(1_258_291));
    assert_eq!(config.limits.idle_timeout, Some(Span::mins(5)));
    assert!(config.auth.close_on_exp);
    assert_eq!(config.log, Log { filter: "info,moim=debug".into(), format: LogFormat::Json });
    assert_eq!(config.admin_listen.unwrap().port(), 9090);
    assert_eq!(config.workers, Some(3));
}

#[test]
fn the_commented_default_is_the_default() {
    assert_eq!(load_file(&Config::commented_default()).unwrap(), Config::default());
}

#[test]
fn every_example_in_the_commented_default_is_allowed_except_secrets() {
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if is_assignment(rest) && !is_secret(rest) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text = Config::commented_default();
    let text = text.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let config = load_file(&text).unwrap();
    assert_eq!(config.auth.audience.as_deref(), Some("moim"));
    assert_eq!(config.node_id.unwrap().as_str(), "node-1");
    // Whoever takes the example as a secret would share it with the world.
    assert!(load_file("jwt_secret = \"put 32 bytes or more here\"").is_err());
    assert!(load_file("admin_token = \"a long random text\"").is_err());
}

/// Or what belongs to a cluster.
fn is_secret(line: &str) -> bool {
    ["32 bytes", "a long random text", "_url ="].iter().any(|example| line.contains(example))
}

fn is_assignment(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_lowercase() || c == '_'))
}

#[test]
fn every_key_of_the_commented_default_is_read_from_its_variable() {
    let text = Config::commented_default();
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# MOIM_")?.split_once(": "))
        .map(|(name, _)| format!("MOIM_{name}"))
        .collect();
    let keys = text.lines().filter(|line| is_assignment(line.trim_start_matches("# "))).count();
    assert_eq!(names.len(), keys);
    for name in names {
        // No key allows a control character, so a refusal shows that it was read.
        let refused = problems([(&name, "\u{1}")]);
        assert!(refused.starts_with(&format!("`{name}` is ")), "{refused}");
        assert_eq!(refused.lines().count(), 1);
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_name() {
    for (name, nearest) in [
        ("MOIM_LISTN", "MOIM_LISTEN"),
        ("MOIM_LIMITS_SEND_RATE", "MOIM_LIMITS__SEND_RATE"),
        ("MOIM_SEND_DEADLINE", "MOIM_LIMITS__SEND_DEADLINE"),
        ("MOIM_JWTSECRET", "MOIM_JWT_SECRET"),
        ("MOIM_LOG__FILTER", "MOIM_LOG__FORMAT"),
        ("MOIM_CONFG", "MOIM_CONFIG"),
    ] {
        assert_eq!(
            problems([(name, "1")]),
            format!("unknown key `{name}`: did you mean `{nearest}`?")
        );
    }
    let text = load_file("[limits]\n\nsend_rat = 1\n").unwrap_err().to_string();
    assert!(text.ends_with(":3: unknown key `limits.send_rat`: did you mean `limits.send_rate`?"));
    for unknown in ["[limts]", "limits = 5", "[auth.deep]\nx = 1", "[[limits]]\nsend_rate = 1"] {
        let text = load_file(unknown).unwrap_err().to_string();
        assert!(text.contains("unknown key"), "{text}");
    }
    assert!(load_file("[limits]\n[auth]\n").is_ok());
}

#[test]
fn what_kubernetes_injects_and_tests_use_is_not_ours() {
    let config = load([
        ("MOIM_SERVER_PORT", "tcp://10.0.0.1:8080"),
        ("MOIM_SERVER_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("MOIM_SERVER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("MOIM_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("MOIM_SERVER_SERVICE_PORT_HTTP", "8080"),
        ("MOIM_PORT", "tcp://10.0.0.1:8080"),
        ("MOIM_SERVICE_HOST", "10.0.0.1"),
        ("MOIM_TEST_REDIS_URL", "redis://127.0.0.1"),
        ("MOIM_WORKER_URLS", "http://127.0.0.1:8180"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config, Ok(Config::default()));
    assert!(problems([("MOIM_PORT", "8080")]).contains("unknown key `MOIM_PORT`"));
}

#[test]
fn all_mistakes_are_reported_at_once_one_per_line() {
    let file = file("workers = 0\n[limits]\nsend_rate = -1\nbody_max = [1]\n");
    let text = problems([
        ("MOIM_CONFIG", file.path().to_str().unwrap()),
        ("MOIM_LISTEN", "8080"),
        ("MOIM_LISTN", "x"),
        ("MOIM_LIMITS__SEND_DEADLINE", "0s"),
        ("MOIM_NODE_ID", "a\nb"),
    ]);
    let name = file.path().display();
    for line in [
        "`MOIM_LISTEN` is `8080`: expected an address and port such as `127.0.0.1:8080`".into(),
        "`MOIM_NODE_ID` is `a b`: expected 1 to 64 of A-Z a-z 0-9 . _ ~ -".into(),
        format!("{name}:1: `workers` is `0`: expected a whole number, from 1 to 1024"),
        format!("{name}:3: `limits.send_rate` is `-1`: expected a whole number, from 1 to 1000000"),
        format!(
            "{name}:4: `limits.body_max` is `1`: a list; expected a size such as `4MiB`, `64KiB` \
             or `1000` (bytes), from 1KiB to 16MiB"
        ),
        "`MOIM_LIMITS__SEND_DEADLINE` is `0s`: expected a duration such as `10s`, `100ms`, `5m` \
         or `24h`, from 100ms to 5m"
            .into(),
        "unknown key `MOIM_LISTN`: did you mean `MOIM_LISTEN`?".into(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nnot in\n{text}");
    }
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn a_cluster_needs_its_services_and_a_secret_and_standalone_takes_no_services() {
    let cluster = problems([("MOIM_MODE", "cluster")]);
    for key in ["redis_url", "amqp_url", "database_url", "jwt_secret"] {
        assert!(cluster.contains(&format!("`{key}` is not set")), "{cluster}");
    }
    let alone = problems([("MOIM_REDIS_URL", "redis://:s3cret@redis")]);
    assert_eq!(alone, "`redis_url` is set, but `mode` is not `cluster`");
    let wrong = problems([("MOIM_REDIS_URL", "s3cret without a scheme")]);
    assert!(!wrong.contains("s3cret"), "{wrong}");
}

#[test]
fn a_range_stands_before_the_word_for_off() {
    let text = problems([("MOIM_LIMITS__IDLE_TIMEOUT", "0s")]);
    assert!(text.ends_with("from 100ms to 24h, or `off`"), "{text}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_line() {
    let missing = problems([("MOIM_CONFIG", "/nowhere/moim.toml"), ("MOIM_LISTEN", "x")]);
    assert!(missing.contains("cannot read `/nowhere/moim.toml`"), "{missing}");
    assert_eq!(missing.lines().count(), 2, "the environment is still looked at");

    let broken = load_file("mode = 'standalone'\njwt_secret = \"never show this text").unwrap_err();
    assert!(broken.to_string().contains(":2: not TOML: "), "{broken}");
    assert!(!broken.to_string().contains("never show"), "{broken}");
    assert_eq!(broken.problems().len(), 1);
}

#[test]
fn a_secret_is_its_bytes_and_never_shown() {
    let text = "ünïcode is counted in bytes, 32";
    let config = load([("MOIM_JWT_SECRET", text)]).unwrap();
    assert_eq!(config.jwt_secret.as_ref().unwrap().as_bytes(), text.as_bytes());
    let shown = format!("{config:?}");
    assert!(shown.contains("***") && !shown.contains(text));

    for short in ["", "hunter2 hunter2 hunter2 hunter2"] {
        let refused = problems([("MOIM_JWT_SECRET", short)]);
        assert!(refused.contains("expected a secret of at least 32 bytes"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn two_secrets_may_be_good_at_once() {
    let (new, old) = ("n".repeat(32), "o".repeat(32));
    let config = load([("MOIM_JWT_SECRET", &new), ("MOIM_JWT_SECRET_PREVIOUS", &old)]).unwrap();
    assert_eq!(config.jwt_secret_previous, Secret::new(old.clone()));
    assert!(problems([("MOIM_JWT_SECRET_PREVIOUS", &old)]).contains("`jwt_secret` is not"));
}

#[test]
fn origins_are_a_list_in_toml_and_in_the_environment() {
    let from_file = load_file("origins = ['https://a.example', 'https://b.example']").unwrap();
    let from_env = load([("MOIM_ORIGINS", "https://a.example, https://b.example")]).unwrap();
    assert_eq!(from_file, from_env);
    assert!(from_env.origins.allows(Some("https://b.example"), None));
    assert_eq!(load([("MOIM_ORIGINS", "")]), Ok(Config::default()));
}

#[test]
fn public_keys_of_others_are_in_a_file_or_at_a_url() {
    let jwks = |text| load([("MOIM_JWKS", text)]).map(|config| config.jwks.unwrap());
    assert_eq!(jwks("keys/jwks.json"), Ok(Jwks::File("keys/jwks.json".into())));
    for url in ["https://id.example.org/jwks.json", "http://127.0.0.1:8000/?a=b"] {
        assert_eq!(jwks(url), Ok(Jwks::Url(url.into())));
    }
    for bad in ["ftp://id.example.org/", "https://", "https://user:word@id.example.org/", " "] {
        assert!(jwks(bad).is_err(), "{bad}");
    }
}

#[test]
fn fcm_is_where_google_has_it_or_where_a_base_url_says() {
    let config = load([]).unwrap();
    assert_eq!(config.fcm_credentials, None);
    assert_eq!(config.fcm_endpoint.as_str(), "https://fcm.googleapis.com");
    assert_eq!(config.push_grace, Span::secs(5));

    let file =
        "fcm_credentials = '/k/fcm.json'\nfcm_endpoint = 'http://fcm:1/a/'\npush_grace = '0s'";
    let from_file = load_file(file).unwrap();
    let from_env = load([
        ("MOIM_FCM_CREDENTIALS", "/k/fcm.json"),
        ("MOIM_FCM_ENDPOINT", "http://fcm:1/a"),
        ("MOIM_PUSH_GRACE", "0s"),
    ]);
    assert_eq!(from_env, Ok(from_file.clone()));
    assert_eq!(from_file.fcm_endpoint.as_str(), "http://fcm:1/a");
    for bad in
        ["fcm.googleapis.com", "https://", "https:///v1", "ftp://a", "http://u@a", "http://a?b"]
    {
        assert!(problems([("MOIM_FCM_ENDPOINT", bad)]).contains("expected a URL"), "{bad}");
    }
    assert!(problems([("MOIM_PUSH_GRACE", "1h")]).contains("from 0s to 10m"));
}

#[test]
fn trusted_proxies_are_a_list_of_networks() {
    let from_file = load_file("trusted_proxies = ['10.0.0.0/8', '::1']").unwrap();
    let from_env = load([("MOIM_TRUSTED_PROXIES", "10.0.0.0/8, ::1")]).unwrap();
    assert_eq!(from_file, from_env);
    assert!(from_env.trusted_proxies.contains([10, 1, 2, 3].into()));
    assert!(problems([("MOIM_TRUSTED_PROXIES", "10.0.0.0/40")]).contains("`10.0.0.0/40`"));
}

#[test]
fn templates_are_tables_in_the_file_and_inline_in_the_environment() {
    let text = "
        [[templates]]
        send = '/pub/chat/message'
        room = '/roomId'
        [[templates]]
        subscribe = '/sub/chat/room/{room}'
        message = { roomId = '{room}', list = [1, '{body}'], deep = { \"a b\" = true } }
    ";
    let from_file = load_file(text).unwrap();
    assert_eq!((from_file.templates.sends.len(), from_file.templates.subscribes.len()), (1, 1));
    let inline = "[{ send = '/pub/chat/message', room = '/roomId' }, \
        { subscribe = '/sub/chat/room/{room}', message = \
        { roomId = '{room}', list = [1, '{body}'], deep = { 'a b' = true } } }]";
    assert_eq!(load([("MOIM_TEMPLATES", inline)]).unwrap(), from_file);
    let refused = problems([("MOIM_TEMPLATES", "[{ send = '/a' }]")]);
    assert!(refused.contains("say the room"), "{refused}");
    assert_eq!(refused.lines().count(), 1);
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (name, value, told) in [
        ("MOIM_LIMITS__MESSAGE_MAX", "1MiB", ""),
        ("MOIM_LIMITS__BODY_MAX", "2MiB", "`limits.message_max` (1228KiB) must not be less than"),
        ("MOIM_LIMITS__OUTBOX_BYTES", "1MiB", "than `limits.message_max` (1228KiB)"),
        ("MOIM_LIMITS__NODE_PENDING_BYTES", "1MiB", "than `limits.room_pending_bytes` (8MiB)"),
        ("MOIM_ADMIN_LISTEN", "127.0.0.1:8080", "are both `127.0.0.1:8080`"),
        ("MOIM_TLS_CERT", "/tls.crt", "`tls_key` is not"),
        ("MOIM_TLS_KEY", "/tls.key", "`tls_cert` is not"),
    ] {
        match load([(name, value)]) {
            Ok(_) => assert!(told.is_empty(), "{name}={value} was taken"),
            Err(err) => assert!(err.to_string().contains(told) && !told.is_empty(), "{err}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused_unless_it_is_foreign() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    struct Raw(&'static str);
    impl Source for Raw {
        fn variables(&self) -> Vec<(OsString, OsString)> {
            vec![(self.0.into(), OsString::from_vec(vec![b'a', 0xff]))]
        }
    }
    let refused = Config::load(&Raw("MOIM_JWT_SECRET")).unwrap_err();
    assert_eq!(refused.to_string(), "`MOIM_JWT_SECRET` is not UTF-8");
    assert!(Config::load(&Raw("OTHER")).is_ok());
}
