//! The audit chain: each entry's hash covers the one before, so that an edited, removed or reordered entry shows.

use revisit_core::id::TenantId;

/// An entry in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub number: i64,
    pub source: String,
    pub entry: Vec<u8>,
    pub hash: Vec<u8>,
}

/// How a chain is broken, with the number at which it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// An entry was removed or moved: the numbers do not follow each other.
    Missing(i64),
    /// An entry, or one before it, was edited.
    Edited(i64),
    /// The chain ends elsewhere than where it was last signed: entries after this number were removed or added.
    Cut(i64),
}

/// Where a chain ends, signed with identity's key: what is cut off behind leaves a whole chain that ends too early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    pub number: i64,
    pub kid: String,
    pub signature: Vec<u8>,
}

/// What is signed at the end of a chain.
#[must_use]
pub fn end_bytes(tenant: TenantId, number: i64, hash: &[u8]) -> Vec<u8> {
    [b"revisit identity audit end".as_slice(), tenant.uuid().as_bytes(), &number.to_be_bytes(), hash].concat()
}

/// The hash of an entry in its place. The first one follows the empty hash.
#[must_use]
pub fn hash(before: &[u8], tenant: TenantId, link: (i64, &str, &[u8])) -> Vec<u8> {
    let (number, source, entry) = link;
    let mut hasher = blake3::Hasher::new_derive_key("revisit identity audit chain");
    for part in [before, tenant.uuid().as_bytes(), &number.to_be_bytes(), source.as_bytes(), entry] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().as_bytes().to_vec()
}

/// Follows one tenant's chain link by link.
#[derive(Clone, Debug)]
pub struct Verifier {
    tenant: TenantId,
    number: i64,
    hash: Vec<u8>,
}

impl Verifier {
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, number: 0, hash: Vec::new() }
    }

    /// Compares where the chain ends with what was signed; `verifies` checks a signature over bytes. A chain without an
    /// entry has no end.
    pub fn finish(&self, end: Option<&End>, verifies: impl Fn(&End, &[u8]) -> bool) -> Result<(), Broken> {
        let signed =
            |end: &End| end.number == self.number && verifies(end, &end_bytes(self.tenant, self.number, &self.hash));
        let whole = end.map_or(self.number == 0, signed);
        if whole { Ok(()) } else { Err(Broken::Cut(self.number)) }
    }

    /// Takes the next link; after a break nothing that follows proves anything.
    pub fn follow(&mut self, link: &Link) -> Result<(), Broken> {
        let number = self.number + 1;
        if link.number != number {
            return Err(Broken::Missing(number));
        }
        let expected = hash(&self.hash, self.tenant, (number, &link.source, &link.entry));
        if expected != link.hash {
            return Err(Broken::Edited(number));
        }
        self.number = number;
        self.hash = expected;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant() -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(1))
    }

    fn chain() -> Vec<Link> {
        let mut before = Vec::new();
        (1..=4)
            .map(|number| {
                let entry = vec![u8::try_from(number).expect("small"); 3];
                let hash = hash(&before, tenant(), (number, "identity", &entry));
                before.clone_from(&hash);
                Link { number, source: "identity".to_owned(), entry, hash }
            })
            .collect()
    }

    fn verify(links: &[Link]) -> Result<(), Broken> {
        let mut verifier = Verifier::new(tenant());
        links.iter().try_for_each(|link| verifier.follow(link))
    }

    #[test]
    fn an_untouched_chain_holds() {
        assert_eq!(verify(&chain()), Ok(()));
    }

    #[test]
    fn an_edited_a_removed_and_a_reordered_entry_are_found() {
        let mut edited = chain();
        edited[1].entry[0] ^= 1;
        assert_eq!(verify(&edited), Err(Broken::Edited(2)));
        let mut removed = chain();
        removed.remove(2);
        assert_eq!(verify(&removed), Err(Broken::Missing(3)));
        let mut reordered = chain();
        let (one, other) = (reordered[1].entry.clone(), reordered[2].entry.clone());
        (reordered[1].entry, reordered[2].entry) = (other, one);
        assert_eq!(verify(&reordered), Err(Broken::Edited(2)));
    }
}
