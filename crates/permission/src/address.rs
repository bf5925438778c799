//! Mail addresses and telephone numbers of people: always of the sensitive layer, each with the mask of its kind.

use crate::{
    level::Layer,
    mask::Mask,
    veil::{Maskable, Shown, Veiled},
};

/// Where somebody is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    mask: Mask,
    text: String,
}

impl Address {
    /// A mail address.
    #[must_use]
    pub const fn mail(text: String) -> Veiled<Self> {
        Veiled::new(Layer::Sensitive, Self { mask: Mask::Email, text })
    }

    /// A telephone number.
    #[must_use]
    pub const fn phone(text: String) -> Veiled<Self> {
        Veiled::new(Layer::Sensitive, Self { mask: Mask::Phone, text })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Maskable for Address {
    type Masked = String;

    fn masked(&self) -> String {
        self.mask.apply(&self.text)
    }
}

impl Shown<'_, Address> {
    /// What is shown of an address; nothing when it is hidden.
    #[must_use]
    pub fn text(self) -> Option<String> {
        match self {
            Self::Hidden => None,
            Self::Masked(text) => Some(text),
            Self::Clear(address) => Some(address.text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Clarity, Level, Levels};

    use super::*;

    fn shown(address: &Veiled<Address>, level: Level, asked: Clarity) -> Option<String> {
        Levels::WRITE.with(Layer::Sensitive, level).show(address, asked).text()
    }

    #[test]
    fn an_address_is_clear_only_to_who_reads_the_sensitive_layer_and_has_asked() {
        let (mail, phone) = (Address::mail("mei@example.com".to_owned()), Address::phone("13800138000".to_owned()));
        for (address, masked, clear) in
            [(mail, "****@example.com", "mei@example.com"), (phone, "138****8000", "13800138000")]
        {
            assert_eq!(shown(&address, Level::Hidden, Clarity::Clear), None);
            assert_eq!(shown(&address, Level::Masked, Clarity::Clear).as_deref(), Some(masked));
            assert_eq!(shown(&address, Level::Write, Clarity::Usual).as_deref(), Some(masked));
            assert_eq!(shown(&address, Level::Read, Clarity::Clear).as_deref(), Some(clear));
            assert_eq!(format!("{address:?}"), "***");
        }
    }
}
