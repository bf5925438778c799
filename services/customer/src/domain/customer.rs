//! The customer record: what it holds, which layer each part belongs to, and the rules of a change.

use std::collections::BTreeSet;

use revisit_core::{
    Input, Timestamp,
    id::{CustomerId, DepartmentId, FieldId, JobId, SubjectId, TeamId, TenantId},
};
use revisit_permission::{Flags, Mask, Maskable, Name, Row, TaskHolder, Veiled};

use super::{
    contact::{CONTACT_POINTS_MAX, ContactDraft, ContactPoint, VALUE_MAX},
    field::Value,
    matching::{self, Key},
    normal,
};

pub const NAME_MAX: usize = 200;
pub const TAGS_MAX: usize = 50;
pub const TAG_MAX: usize = 50;
/// Characters of city, source and external id at the most.
pub const WORD_MAX: usize = 100;
/// Days for which a deleted customer can be restored.
pub const RESTORE_DAYS: u32 = 30;

/// The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CustomerKind {
    Person = 1,
    Company = 2,
}

impl CustomerKind {
    pub fn from_stored(number: i16) -> Self {
        if number == Self::Company as i16 { Self::Company } else { Self::Person }
    }
}

/// A customer with all that policy, filters and events look at. Contact points and sealed field values are there only
/// when they were asked for.
#[derive(Clone, Debug)]
pub struct Customer {
    pub tenant: TenantId,
    pub id: CustomerId,
    pub kind: CustomerKind,
    pub name: String,
    pub contact_points: Vec<ContactPoint>,
    pub owner: Option<SubjectId>,
    pub department: Option<DepartmentId>,
    pub teams: Vec<TeamId>,
    pub task_holders: Vec<TaskHolder>,
    pub ownership_epoch: i64,
    pub stage: String,
    pub grade: Option<String>,
    pub grade_reason: Option<Veiled<String>>,
    /// When the grade was last looked at.
    pub graded_at: Timestamp,
    pub vip: bool,
    pub pooled: bool,
    /// In byte order.
    pub tags: Vec<String>,
    pub fields: Vec<(FieldId, Veiled<Value>)>,
    pub city: Option<String>,
    pub source: Option<String>,
    pub birthday: Option<String>,
    pub contract_end: Option<String>,
    pub external_id: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub version: i64,
    pub auth_rev: i64,
    /// The import that made it, and the version that this import last wrote: a later one is somebody else's.
    pub import_job: Option<JobId>,
    pub import_version: Option<i64>,
}

impl Maskable for Customer {
    /// The masked name: of the other basic facts nothing is left.
    type Masked = String;

    fn masked(&self) -> String {
        Mask::Text.apply(&self.name)
    }
}

impl Customer {
    /// One of whom nothing is told but the id and the version.
    pub const fn unseen(tenant: TenantId, id: CustomerId, version: i64) -> Self {
        Self {
            tenant,
            id,
            kind: CustomerKind::Person,
            name: String::new(),
            contact_points: Vec::new(),
            owner: None,
            department: None,
            teams: Vec::new(),
            task_holders: Vec::new(),
            ownership_epoch: 0,
            stage: String::new(),
            grade: None,
            grade_reason: None,
            graded_at: Timestamp::MIN,
            vip: false,
            pooled: false,
            tags: Vec::new(),
            fields: Vec::new(),
            city: None,
            source: None,
            birthday: None,
            contract_end: None,
            external_id: None,
            created_at: Timestamp::MIN,
            updated_at: Timestamp::MIN,
            deleted_at: None,
            version,
            auth_rev: 0,
            import_job: None,
            import_version: None,
        }
    }

    /// What policy may look at.
    pub fn row(&self) -> Row {
        Row::new(self.tenant, self.id)
            .with_owner(self.owner)
            .with_department(self.department)
            .with_teams(self.teams.iter().copied())
            .with_stage(Some(Name::from(self.stage.as_str())))
            .with_grade(self.grade.as_deref().map(Name::from))
            .with_flags(Flags { vip: self.vip, pooled: self.pooled })
            .with_task_holders(self.task_holders.iter().cloned())
            .with_auth_rev(self.auth_rev)
    }

    pub fn field(&self, id: FieldId) -> Option<&Veiled<Value>> {
        self.fields.iter().find(|(field, _)| *field == id).map(|(_, value)| value)
    }

    /// The keys by which another record is recognised as this one. Contact points must have been loaded.
    pub fn keys(&self) -> BTreeSet<Key> {
        let city = self.city.as_deref().unwrap_or_default();
        matching::keys(self.kind == CustomerKind::Company, &self.name, city, &self.contact_points)
    }
}

/// A customer as a caller or a file describes it, cleaned and checked.
#[derive(Clone, Default)]
pub struct Draft {
    pub kind: Option<CustomerKind>,
    pub name: String,
    pub contact_points: Vec<ContactDraft>,
    pub owner: Option<SubjectId>,
    pub department: Option<DepartmentId>,
    /// The initial stage when left out.
    pub stage: Option<String>,
    pub vip: bool,
    pub tags: Vec<String>,
    pub city: Option<String>,
    pub source: Option<String>,
    pub birthday: Option<String>,
    pub contract_end: Option<String>,
    pub external_id: Option<String>,
    /// By key; none removes the value.
    pub fields: Vec<(String, Option<Value>)>,
}

impl Draft {
    /// Cleans every part and notes each broken rule with its path under the customer.
    pub fn clean(&mut self, input: &mut Input) {
        self.name = input.text("name", &normal::text(&self.name), 1..=NAME_MAX);
        for (path, text) in
            [("city", &mut self.city), ("source", &mut self.source), ("external_id", &mut self.external_id)]
        {
            *text = text.as_deref().map(normal::text).filter(|text| !text.is_empty());
            if let Some(text) = text {
                input.text(path, text, 0..=WORD_MAX);
            }
        }
        for (path, date) in [("birthday", &mut self.birthday), ("contract_end", &mut self.contract_end)] {
            if let Some(text) = date.take().filter(|text| !text.is_empty()) {
                match normal::date(&text) {
                    Ok(normal_form) => *date = Some(normal_form),
                    Err(rule) => input.refuse(path, rule),
                }
            }
        }
        self.tags = clean_tags(input, "tags", std::mem::take(&mut self.tags));
        self.clean_contacts(input);
    }

    fn clean_contacts(&self, input: &mut Input) {
        if self.contact_points.len() > CONTACT_POINTS_MAX {
            input.refuse("contact_points", "must have at most 20 entries");
            return;
        }
        for (index, point) in self.contact_points.iter().enumerate() {
            let path = format!("contact_points[{index}].value");
            if point.id.is_some() && point.input.is_empty() {
                continue;
            }
            input.text(&path, &normal::text(&point.input), 1..=VALUE_MAX);
            if let Err(rule) = point.normal_form() {
                input.refuse(path, rule);
            }
        }
    }
}

/// Tags cleaned, in byte order, without repeats.
pub fn clean_tags(input: &mut Input, path: &str, tags: Vec<String>) -> Vec<String> {
    let mut tags: Vec<String> = tags.iter().map(|tag| normal::text(tag)).filter(|tag| !tag.is_empty()).collect();
    tags.sort();
    tags.dedup();
    input.require(tags.len() <= TAGS_MAX, path, "must have at most 50 entries");
    for (index, tag) in tags.iter().enumerate() {
        input.text(&format!("{path}[{index}]"), tag, 1..=TAG_MAX);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::ContactType;

    #[test]
    fn a_draft_is_cleaned_and_every_broken_rule_told_with_its_path() {
        let mut draft = Draft {
            name: "　王 伟 ".to_owned(),
            birthday: Some("1990-02-30".to_owned()),
            tags: vec!["b".to_owned(), " a".to_owned(), "b".to_owned()],
            contact_points: vec![ContactDraft {
                id: None,
                kind: ContactType::Phone,
                input: "不详".to_owned(),
                region: normal::Region::DEFAULT,
                verified: false,
                primary: false,
            }],
            ..Draft::default()
        };
        let mut input = Input::default();
        draft.clean(&mut input);
        assert_eq!(draft.name, "王 伟");
        assert_eq!(draft.tags, ["a", "b"]);
        let fields: Vec<_> = input.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["birthday", "contact_points[0].value"]);
    }
}
