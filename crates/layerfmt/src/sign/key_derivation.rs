//! How a password protects a secret key: scrypt with the limits of libsodium's `crypto_pwhash_scryptsalsa208sha256`.

use super::SignError;

/// Memory that a key may ask for: what minisign uses.
const MAX_MEMORY: u64 = 1 << 30;

/// Passes over that memory that a key may ask for.
const MAX_PASSES: u64 = 16;

/// How much work and memory a password costs, as libsodium counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub operations: u64,
    pub memory: u64,
}

impl Cost {
    /// What minisign uses: 1 GiB and some seconds.
    pub const SENSITIVE: Self = Self {
        operations: 1 << 25,
        memory: 1 << 30,
    };

    /// Logarithm of N, r and p of scrypt, chosen as libsodium does.
    fn parameters(self) -> (u8, u64, u64) {
        let operations = self.operations.max(32_768);
        let r = 8;
        let largest = |most: u64| (1..63).find(|log| 1 << log > most / 2).unwrap_or(63);
        if operations < self.memory / 32 {
            (largest(operations / (r * 4)), r, 1)
        } else {
            let log_n: u8 = largest(self.memory / (r * 128));
            let rp = ((operations / 4) >> log_n).min(0x3fff_ffff);
            (log_n, r, (rp / r).max(1))
        }
    }
}

/// Fills `key` from the password.
pub fn derive(password: &[u8], salt: &[u8; 32], cost: Cost, key: &mut [u8]) -> Result<(), SignError> {
    let (log_n, r, p) = cost.parameters();
    let memory = (128 * r).checked_shl(log_n.into()).unwrap_or(u64::MAX);
    if log_n > 40 || memory > MAX_MEMORY || p > MAX_PASSES {
        return Err(SignError::TooCostly {
            memory: memory.saturating_mul(p),
            limit: MAX_MEMORY,
        });
    }
    let refused = |_| SignError::WrongPassword;
    let parameters = scrypt::Params::new(log_n, r as u32, p as u32, scrypt::Params::RECOMMENDED_LEN);
    let parameters = parameters.map_err(|_| SignError::WrongPassword)?;
    scrypt::scrypt(password, salt, &parameters, key).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_libsodium() {
        assert_eq!(Cost::SENSITIVE.parameters(), (20, 8, 1));
        let interactive = Cost {
            operations: 524_288,
            memory: 16_777_216,
        };
        assert_eq!(interactive.parameters(), (14, 8, 1));
    }

    #[test]
    fn what_a_key_asks_for_is_bounded() {
        for (operations, memory) in [(u64::MAX, u64::MAX), (1 << 40, 1 << 40), (u64::MAX, 1 << 20)] {
            let cost = Cost { operations, memory };
            let refused = derive(b"", &[0; 32], cost, &mut [0; 8]);
            assert!(matches!(refused, Err(SignError::TooCostly { .. })), "{refused:?}");
        }
    }
}
