//! The few words of a push, in the language of its device. An app that has its own needs none of
//! them: everything that they are made of is in the data as well.

/// What stands for a message that is not shown.
pub(super) struct Words {
    /// Its text may not be shown, or it has none.
    pub(super) message: &'static str,
}

/// The words for a language tag (BCP 47); English when there are none.
pub(super) fn words(locale: Option<&str>) -> Words {
    let language = locale.unwrap_or_default().split(['-', '_']).next().unwrap_or_default();
    let message = match language.to_ascii_lowercase().as_str() {
        "ko" => "새 메시지",
        "ja" => "新しいメッセージ",
        "zh" => "新消息",
        "de" => "Neue Nachricht",
        "es" => "Mensaje nuevo",
        "fr" => "Nouveau message",
        "it" => "Nuovo messaggio",
        "pt" => "Nova mensagem",
        "ru" => "Новое сообщение",
        "vi" => "Tin nhắn mới",
        "id" => "Pesan baru",
        "hi" => "नया संदेश",
        "ar" => "رسالة جديدة",
        "tr" => "Yeni mesaj",
        _ => "New message",
    };
    Words { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_tag_counts_and_english_stands_for_all_others() {
        for (locale, message) in [
            (Some("ko-KR"), "새 메시지"),
            (Some("KO"), "새 메시지"),
            (Some("de_AT"), "Neue Nachricht"),
        ] {
            assert_eq!(words(locale).message, message);
        }
        for locale in [None, Some(""), Some("tlh"), Some("en-GB")] {
            assert_eq!(words(locale).message, "New message");
        }
    }
}
