//! `settings!`: one table per section that is the struct, its documentation, its defaults, its
//! ranges and its environment names at once, so that these cannot differ.

use super::reader::Reader;

/// A section of the configuration.
pub(super) trait Settings: Sized {
    /// Reads its keys, noting each; what is wrong or absent gets the default.
    fn read(reader: &mut Reader) -> Self;
}

/// Declares a section. One key is written
///
/// ```text
/// /// What it means, with its unit. The text of the struct's field and of the TOML file.
/// send_rate: u32 = 1000, within 1..=1_000_000;
/// ```
///
/// and may end in `, env "MOIM_OTHER"` when its variable is not named after it, and in
/// `, like "value"` to show an example where there is no default. `with` names nested sections.
macro_rules! settings {
    (
        $(#[doc = $title:literal])*
        $name:ident in $table:literal {
            $(
                $(#[doc = $doc:literal])*
                $key:ident : $type:ty = $default:expr
                    $(, within $range:expr)? $(, env $env:literal)? $(, like $example:literal)? ;
            )*
        }
        $(with {
            $( $(#[doc = $about:literal])* $section:ident : $settings:ty ; )*
        })?
    ) => {
        $(#[doc = $title])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                #[doc = concat!("\n\nDefault: `", stringify!($default), "`." $(,
                    " Allowed: `", stringify!($range), "`.")?)]
                pub $key: $type,
            )*
            $($( $(#[doc = $about])* pub $section: $settings, )*)?
        }

        impl $crate::config::settings::Settings for $name {
            fn read(reader: &mut $crate::config::reader::Reader) -> Self {
                Self {
                    $( $key: reader.value::<$type>(
                        $crate::config::reader::Key {
                            table: $table,
                            name: stringify!($key),
                            doc: &[$($doc),*],
                            env: None$(.or(Some($env)))?,
                            example: None$(.or(Some($example)))?,
                        },
                        $default,
                        None$(.or(Some($crate::config::value::within::<$type>($range))))?,
                    ), )*
                    $($(
                        $section: <$settings as $crate::config::settings::Settings>::read(reader),
                    )*)?
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::config::settings::Settings::read(&mut Default::default())
            }
        }
    };
}

pub(super) use settings;
