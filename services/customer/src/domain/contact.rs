//! Contact points: how a customer is reached, and the rules of the list.

use revisit_core::id::ContactPointId;
use revisit_permission::{Layer, Mask, Maskable, Purpose, Veiled};

use super::normal::{self, Region};

/// Contact points of one customer at the most.
pub const CONTACT_POINTS_MAX: usize = 20;
/// Characters of a value at the most.
pub const VALUE_MAX: usize = 200;

/// What kind of contact point. The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ContactType {
    Phone = 1,
    Wechat = 2,
    Email = 3,
    Company = 4,
    RegistrationCode = 5,
}

impl ContactType {
    pub const ALL: [Self; 5] = [Self::Phone, Self::Wechat, Self::Email, Self::Company, Self::RegistrationCode];

    pub fn from_stored(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i16 == number)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Wechat => "wechat",
            Self::Email => "email",
            Self::Company => "company",
            Self::RegistrationCode => "registration_code",
        }
    }

    /// How a value looks to who may read it masked only.
    pub const fn mask(self) -> Mask {
        match self {
            Self::Phone => Mask::Phone,
            Self::Email => Mask::Email,
            Self::Wechat | Self::RegistrationCode => Mask::Account,
            Self::Company => Mask::Text,
        }
    }
}

/// A contact point. Its value is in clear in memory only, and veiled there: the store seals it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactPoint {
    pub id: ContactPointId,
    pub kind: ContactType,
    pub value: Veiled<ContactValue>,
    pub verified: bool,
    pub primary: bool,
}

/// What a contact point says.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactValue {
    kind: ContactType,
    /// As it was typed, trimmed.
    pub input: String,
    pub normal_form: String,
}

impl ContactValue {
    pub const fn veiled(kind: ContactType, input: String, normal_form: String) -> Veiled<Self> {
        Veiled::new(Layer::Sensitive, Self { kind, input, normal_form })
    }
}

impl Maskable for ContactValue {
    type Masked = String;

    /// That of the normal form, so that it does not tell how somebody typed.
    fn masked(&self) -> String {
        let plain = if self.kind == ContactType::Company { &self.input } else { &self.normal_form };
        self.kind.mask().apply(plain)
    }
}

impl ContactPoint {
    /// By what it is recognised.
    pub(super) fn normal_form(&self) -> &str {
        &self.value.lift(Purpose::Match).normal_form
    }
}

/// A contact point as a caller sends it.
#[derive(Clone)]
pub struct ContactDraft {
    /// Names a present one whose value is kept when `input` is empty.
    pub id: Option<ContactPointId>,
    pub kind: ContactType,
    pub input: String,
    /// Where the caller's company is at home.
    pub region: Region,
    pub verified: bool,
    pub primary: bool,
}

impl ContactDraft {
    /// Its normal form, or the rule that its value breaks.
    pub fn normal_form(&self) -> Result<String, &'static str> {
        normal::contact(self.kind, &self.input, self.region)
    }

    /// The contact point, or the rule that its value breaks.
    pub fn complete(&self, id: ContactPointId) -> Result<ContactPoint, &'static str> {
        let normal_form = self.normal_form()?;
        Ok(ContactPoint {
            id,
            kind: self.kind,
            value: ContactValue::veiled(self.kind, normal::text(&self.input), normal_form),
            verified: self.verified,
            primary: self.primary,
        })
    }
}

/// Drops repeats of a normal form and sees to exactly one primary point of each type that occurs: the first that asks
/// for it, else the first.
pub fn settle(points: &mut Vec<ContactPoint>) {
    let mut seen = std::collections::HashSet::new();
    points.retain(|point| seen.insert((point.kind, point.normal_form().to_owned())));
    for kind in ContactType::ALL {
        let chosen = points
            .iter()
            .position(|point| point.kind == kind && point.primary)
            .or_else(|| points.iter().position(|point| point.kind == kind));
        for (index, point) in points.iter_mut().enumerate().filter(|(_, point)| point.kind == kind) {
            point.primary = Some(index) == chosen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(kind: ContactType, normal_form: &str, primary: bool) -> ContactPoint {
        ContactPoint {
            id: ContactPointId::from_uuid(uuid::Uuid::nil()),
            kind,
            value: ContactValue::veiled(kind, normal_form.to_owned(), normal_form.to_owned()),
            verified: false,
            primary,
        }
    }

    #[test]
    fn each_type_has_exactly_one_primary_point_and_no_repeats() {
        let mut points = vec![
            point(ContactType::Phone, "+861", false),
            point(ContactType::Phone, "+862", true),
            point(ContactType::Phone, "+863", true),
            point(ContactType::Phone, "+861", true),
            point(ContactType::Email, "a@b.c", false),
        ];
        settle(&mut points);
        let primary: Vec<_> = points.iter().filter(|point| point.primary).map(ContactPoint::normal_form).collect();
        assert_eq!(points.len(), 4);
        assert_eq!(primary, ["+862", "a@b.c"]);
    }
}
