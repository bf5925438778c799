//! Passwords: argon2id, off the async threads, a bounded number at once.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use revisit_core::Failure;
use tokio::sync::Semaphore;

use crate::domain::Error;

/// Hashes that may wait for their turn; more are refused, so that a flood of log-ins cannot hold every call's memory.
const WAITING_MAX: usize = 64;

/// Hashes and verifies. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    nobody: Arc<str>,
}

impl Passwords {
    /// `at_once` hashes run side by side; each takes about 19 MiB while it runs.
    pub fn new(at_once: usize) -> Result<Self, Failure> {
        let nobody = hash("the password of nobody")?;
        Ok(Self {
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            nobody: Arc::from(nobody),
        })
    }

    /// The hash to keep of a new password.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || hash(&password)).await
    }

    /// Whether the password is the one of the hash. Without a hash it is compared with that of nobody, so that the
    /// answer takes as long for a name that does not exist.
    pub async fn verify(&self, password: String, kept: Option<String>) -> Result<bool, Error> {
        let exists = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.to_string());
        let same = self.run(move || verify(&password, &kept)).await?;
        Ok(same && exists)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.waiting.try_acquire().map_err(|_| Error::Busy)?;
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(Failure::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            // A caller who hangs up does not free the place while its hash still runs.
            let _permit = permit;
            work()
        });
        Ok(done.await.map_err(Failure::internal)??)
    }
}

fn hash(password: &str) -> Result<String, Failure> {
    let hash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify(password: &str, kept: &str) -> Result<bool, Failure> {
    let kept = PasswordHash::new(kept).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_somebody_passes() {
        let passwords = Passwords::new(1).expect("argon2 works");
        let kept = passwords.hash("correct horse".to_owned()).await.expect("it is hashed");
        assert!(passwords.verify("correct horse".to_owned(), Some(kept.clone())).await.expect("it runs"));
        assert!(!passwords.verify("wrong horse".to_owned(), Some(kept)).await.expect("it runs"));
        assert!(!passwords.verify("the password of nobody".to_owned(), None).await.expect("it runs"));
    }
}
