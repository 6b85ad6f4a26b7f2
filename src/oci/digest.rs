//! Content digests: `sha256:` and `sha512:` with lower-case hex, as the image specification registers them.

use std::{fmt, str::FromStr};

use sha2::Digest as _;

/// A registered digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `sha256`, 32 bytes.
    Sha256,
    /// `sha512`, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name as written before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The other one: the same bytes may be published under both.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Sha256 => Self::Sha512,
            Self::Sha512 => Self::Sha256,
        }
    }

    /// How many bytes a hash of this algorithm has.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A digest: an algorithm and exactly as many bytes as it yields.
///
/// Parsing accepts the canonical form only: a registered algorithm, a colon, lower-case hex of the exact length.
/// So `sha256:../../etc` cannot exist, and a digest may be used in a path or URL as it is (CVE-2024-3727).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 64],
}

/// Why a string is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a digest: want sha256:<64 lower-case hex> or sha512:<128>", .0.escape_default().take(160).collect::<String>())]
pub struct DigestError(String);

impl Digest {
    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// The digest of `bytes` by `algorithm`.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A SHA-256 digest from its 32 bytes.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&hash);
        Self { algorithm: Algorithm::Sha256, bytes }
    }

    /// A SHA-512 digest from its 64 bytes.
    #[must_use]
    pub const fn from_sha512(bytes: [u8; 64]) -> Self {
        Self { algorithm: Algorithm::Sha512, bytes }
    }

    /// Whether `bytes` hash to this digest, by this digest's own algorithm.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        Self::of(self.algorithm, bytes) == *self
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself, 32 or 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size()]
    }

    /// The hash in lower-case hex, without the algorithm.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// `sha256:0123456789ab…` shortened for sentences that must stay short; never for look-ups.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}:{}", self.algorithm.as_str(), &self.to_hex()[..12])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || DigestError(text.to_owned());
        let (name, hash) = text.split_once(':').ok_or_else(refuse)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(refuse()),
        };
        let (pairs, odd) = hash.as_bytes().as_chunks::<2>();
        if pairs.len() != algorithm.size() || !odd.is_empty() {
            return Err(refuse());
        }
        let (mut bytes, mut good) = ([0; 64], true);
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let ((high, high_good), (low, low_good)) = (nibble(*high), nibble(*low));
            *byte = high << 4 | low;
            good &= high_good & low_good;
        }
        if !good {
            return Err(refuse());
        }
        Ok(Self { algorithm, bytes })
    }
}

/// What a digit means, and whether it is one. Lower case only, which the crate `hex` does not ask: two spellings would be two keys for
/// one thing. Without a branch, so that a request's digest is read many digits at a time.
const fn nibble(hex: u8) -> (u8, bool) {
    let (digit, letter) = (hex.wrapping_sub(b'0'), hex.wrapping_sub(b'a'));
    (if digit < 10 { digit } else { letter.wrapping_add(10) & 15 }, (digit < 10) | (letter < 6))
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes a stream, piece by piece.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// SHA-256 in progress.
    Sha256(sha2::Sha256),
    /// SHA-512 in progress.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Box::new(sha2::Sha512::new())),
        }
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(piece),
            Self::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// The digest of everything seen.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = match self {
            Self::Sha256(hasher) => {
                bytes[..32].copy_from_slice(&hasher.finalize());
                Algorithm::Sha256
            }
            Self::Sha512(hasher) => {
                bytes.copy_from_slice(&hasher.finalize());
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_round_trips() {
        let long = Digest::of(Algorithm::Sha512, b"hello");
        assert_eq!(Digest::from_sha512(long.as_bytes().try_into().unwrap()), long);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"hello");
            assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
            assert!(digest.matches(b"hello") && !digest.matches(b"hellp"));
        }
    }

    #[test]
    fn x11_a_digit_is_a_lower_case_hexadecimal_one_and_nothing_else() {
        for byte in 0..128_u8 {
            let digit = char::from(byte);
            for text in [format!("{digit}0"), format!("0{digit}")] {
                let read = format!("sha256:{}{text}", "0".repeat(62)).parse::<Digest>().ok();
                let wanted = if digit.is_ascii_uppercase() { None } else { u8::from_str_radix(&text, 16).ok() };
                // `from_str_radix` takes a sign.
                let wanted = wanted.filter(|_| digit != '+');
                assert_eq!(read.map(|digest| digest.as_bytes()[31]), wanted, "{text:?}");
            }
        }
    }

    #[test]
    fn x11_other_spellings_are_not_digests() {
        let hash = "a".repeat(64);
        for text in [
            "",
            "sha256",
            "sha256:",
            &format!("sha256:{}", &hash[1..]),
            &format!("sha256:{hash}a"),
            &format!("sha256:{}", hash.to_uppercase()),
            &format!("SHA256:{hash}"),
            &format!("sha1:{}", &hash[..40]),
            "sha256:../../../../../../../../../../../../../../../../../../../../../..",
            &format!("sha512:{hash}"),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
