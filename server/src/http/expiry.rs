//! When a certificate ends. Only so much of X.509 (RFC 5280, 4.1) and DER is read as that takes.

/// Seconds since 1970, or nothing when it is no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let inside = |bytes| item(bytes).filter(|item| item.tag == SEQUENCE).map(|item| item.content);
    let mut rest = inside(inside(certificate)?)?;
    if item(rest)?.tag == VERSION {
        rest = item(rest)?.rest;
    }
    // Its number, the algorithm, the issuer.
    for _ in 0..3 {
        rest = item(rest)?.rest;
    }
    let end = item(item(inside(rest)?)?.rest)?;
    seconds(end.tag, std::str::from_utf8(end.content).ok()?)
}

struct Item<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

fn item(bytes: &[u8]) -> Option<Item<'_>> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (size, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (size, rest) = rest.split_at_checked(usize::from(first & 0x7f).min(9))?;
        let size = size
            .iter()
            .try_fold(0_usize, |sum, byte| Some(sum.checked_mul(256)? | usize::from(*byte)))?;
        (size, rest)
    };
    let (content, rest) = rest.split_at_checked(size)?;
    Some(Item { tag, content, rest })
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn seconds(tag: u8, text: &str) -> Option<u64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    // Years begin in March, so that the odd day is the last.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_its_end() {
        for ((year, month, day), end) in [
            ((1970, 1, 2), 86_400),
            ((2024, 2, 29), 1_709_164_800),
            ((2025, 12, 31), 1_767_139_200),
            ((2100, 3, 1), 4_107_542_400),
        ] {
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(1970, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(not_after(made.der()), Some(end), "{year}");
            for cut in 0..made.der().len().min(120) {
                assert_eq!(not_after(&made.der()[..cut]), None);
            }
        }
        assert_eq!(not_after(&[0x30, 0xff, 1, 2, 3]), None);
    }
}
