//! Credentials: read when they are needed, so that a rotated one is taken at the next request,
//! and never shown.

use crate::Fault;
use hyper::header::HeaderValue;
use std::fmt;
use wavegate_model::source::{Auth, SecretRef};

/// A token or a password is short; a longer file is another file.
const SECRET_BYTES_MAX: usize = 16 << 10;
/// Shorter texts appear in answers by chance.
const TELLTALE_BYTES_MIN: usize = 6;

/// A text that is not shown.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What proves to a server who the host is.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    header: Option<HeaderValue>,
    /// Every form of it in which a server could repeat it.
    telltales: Vec<Secret>,
}

impl Credentials {
    /// Reads them from where they are kept.
    pub(crate) async fn read(auth: &Auth) -> Result<Self, Fault> {
        match auth {
            Auth::None => Ok(Self::default()),
            Auth::Bearer(token) => {
                let token = read(token).await?;
                Self::of(&format!("Bearer {}", token.0), vec![token])
            }
            Auth::Basic { username, password } => {
                let password = read(password).await?;
                let pair = Secret(base64(format!("{username}:{}", password.0).as_bytes()));
                Self::of(&format!("Basic {}", pair.0), vec![password, pair])
            }
        }
    }

    fn of(header: &str, telltales: Vec<Secret>) -> Result<Self, Fault> {
        let mut header = HeaderValue::from_str(header).map_err(|_| {
            Fault::Unavailable("its credential has characters that no header can hold".to_owned())
        })?;
        header.set_sensitive(true);
        Ok(Self {
            header: Some(header),
            telltales,
        })
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// Whether a text of the server repeats them.
    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        self.telltales.iter().any(|secret| {
            let secret = secret.0.as_bytes();
            secret.len() >= TELLTALE_BYTES_MIN
                && text.windows(secret.len()).any(|window| window == secret)
        })
    }
}

/// Messages name the place, and nothing that was found there.
async fn read(secret: &SecretRef) -> Result<Secret, Fault> {
    let unavailable = |detail: String| Err(Fault::Unavailable(detail));
    let (text, place) = match secret {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(text) => (text, format!("the environment variable `{name}`")),
            Err(std::env::VarError::NotPresent) => {
                return unavailable(format!(
                    "its credential is missing: the environment variable `{name}` is not set"
                ));
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                return unavailable(format!(
                    "its credential is unusable: the environment variable `{name}` is not Unicode"
                ));
            }
        },
        SecretRef::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => (text, format!("the file `{path}`")),
            Err(error) => {
                return unavailable(format!(
                    "its credential is missing: cannot read the file `{path}`: {}",
                    error.kind()
                ));
            }
        },
    };
    // Editors and `echo` end a file with a line feed, which is not part of the secret.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() > SECRET_BYTES_MAX {
        return unavailable(format!(
            "its credential is unusable: {place} is empty or has more than {SECRET_BYTES_MAX} bytes"
        ));
    }
    Ok(Secret(text.to_owned()))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let used = place <= chunk.len();
            out.push(if used {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_servers_expect() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("\u{ff}\u{3ff}", "w7/Pvw=="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn nothing_shows_a_credential() {
        let secret = || vec![Secret("s3cr3t-token".to_owned())];
        let credentials = Credentials::of("Bearer s3cr3t-token", secret()).unwrap();
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert!(credentials.are_in(b"you sent s3cr3t-token, thank you"));
        assert!(!credentials.are_in(b"you sent nothing"));
        let fault = Credentials::of("Bearer s3cr3t\n-token", secret()).unwrap_err();
        assert!(!fault.to_string().contains("s3cr3t"), "{fault}");
    }
}
