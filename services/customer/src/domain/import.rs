//! From a file's columns to a customer: which column means what, and what a row says.

use std::collections::BTreeSet;

use revisit_core::Input;
use revisit_permission::{Layer, Veiled};

use super::{
    contact::{ContactDraft, ContactType},
    customer::{CustomerKind, Draft},
    field::{self, Field},
    normal::{self, Region},
};

/// Columns of a file at the most.
pub const COLUMNS_MAX: usize = 200;
/// Rows that a preview shows.
pub const PREVIEW_ROWS: usize = 20;
/// Changes by cleaning that a previewed row shows.
pub const CHANGES_MAX: usize = 10;

/// Where a column goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Name,
    Kind,
    Contact(ContactType),
    City,
    Source,
    Birthday,
    ContractEnd,
    Tags,
    Stage,
    Vip,
    ExternalId,
    OwnerId,
    Department,
    Note,
    Field(String),
}

const NAMED: [(&str, Target); 18] = [
    ("name", Target::Name),
    ("kind", Target::Kind),
    ("phone", Target::Contact(ContactType::Phone)),
    ("wechat", Target::Contact(ContactType::Wechat)),
    ("email", Target::Contact(ContactType::Email)),
    ("company", Target::Contact(ContactType::Company)),
    ("registration_code", Target::Contact(ContactType::RegistrationCode)),
    ("city", Target::City),
    ("source", Target::Source),
    ("birthday", Target::Birthday),
    ("contract_end", Target::ContractEnd),
    ("tags", Target::Tags),
    ("stage", Target::Stage),
    ("vip", Target::Vip),
    ("external_id", Target::ExternalId),
    ("owner_id", Target::OwnerId),
    ("department", Target::Department),
    ("note", Target::Note),
];

/// Words that headers contain, folded; the first that occurs decides, so the special ones stand before the general.
const HEADERS: [(&str, &[&str]); 17] = [
    ("registration_code", &["统一社会信用代码", "信用代码", "注册号", "税号", "registration"]),
    ("company", &["公司名称", "公司", "企业名称", "单位", "company", "organization", "organisation"]),
    ("wechat", &["微信", "wechat", "weixin"]),
    ("email", &["邮箱", "电子邮件", "email", "e-mail", "mail"]),
    ("phone", &["手机", "电话", "联系方式", "phone", "mobile", "tel"]),
    ("external_id", &["客户编号", "客户id", "编号", "external", "customer id"]),
    ("owner_id", &["负责人id", "owner_id", "owner id"]),
    ("birthday", &["生日", "出生日期", "birthday", "birth"]),
    ("contract_end", &["合同到期", "到期日", "contract end", "contract_end"]),
    ("city", &["城市", "所在地", "city"]),
    ("source", &["来源", "渠道", "source", "channel"]),
    ("tags", &["标签", "tag"]),
    ("stage", &["阶段", "stage", "status"]),
    ("vip", &["vip"]),
    ("department", &["门店", "部门", "校区", "department", "store"]),
    ("note", &["备注", "说明", "note", "remark", "comment"]),
    ("name", &["姓名", "名称", "客户", "联系人", "name", "contact"]),
];

impl Target {
    pub fn name(&self) -> String {
        if let Self::Field(key) = self {
            return format!("fields.{key}");
        }
        NAMED.iter().find(|(_, target)| target == self).map_or("", |(name, _)| name).to_owned()
    }

    /// The target with that name; `fields.<key>` must be a field that is not retired.
    pub fn parse(name: &str, fields: &[Field]) -> Option<Self> {
        if let Some(key) = name.strip_prefix("fields.") {
            let known = fields.iter().any(|field| field.key == key && field.retired_at.is_none());
            return known.then(|| Self::Field(key.to_owned()));
        }
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, target)| target.clone())
    }

    /// The layer of what stands in such a column. A field that was retired keeps its own.
    fn layer(&self, fields: &[Field]) -> Layer {
        match self {
            Self::Contact(_) => Layer::Sensitive,
            Self::Note => Layer::History,
            Self::Field(key) => {
                fields.iter().find(|field| field.key == *key).map_or(Layer::Sensitive, |field| field.layer)
            }
            Self::Name
            | Self::Kind
            | Self::City
            | Self::Source
            | Self::Birthday
            | Self::ContractEnd
            | Self::Tags
            | Self::Stage
            | Self::Vip
            | Self::ExternalId
            | Self::OwnerId
            | Self::Department => Layer::Basic,
        }
    }
}

/// The layer of each column of a file, by the names of the targets. What goes nowhere nobody has classified.
pub fn layers(mapping: &[String], fields: &[Field]) -> Vec<Layer> {
    let of = |name: &String| match name.strip_prefix("fields.") {
        Some(key) => Target::Field(key.to_owned()).layer(fields),
        None => Target::parse(name, fields).map_or(Layer::Sensitive, |target| target.layer(fields)),
    };
    mapping.iter().map(of).collect()
}

/// The cells of a row, each under the veil of its column; more than there are columns are nobody's.
pub fn veiled(cells: Vec<String>, layers: &[Layer]) -> Vec<Veiled<String>> {
    let layers = layers.iter().copied().chain(std::iter::repeat(Layer::Sensitive));
    cells.into_iter().zip(layers).map(|(cell, layer)| Veiled::new(layer, cell)).collect()
}

/// What the headers suggest. Only contact points may come from several columns.
pub fn suggest(headers: &[String], fields: &[Field]) -> Vec<Option<Target>> {
    let mut taken: Vec<Target> = Vec::new();
    headers
        .iter()
        .map(|header| {
            let folded = normal::text(header).to_lowercase();
            let custom = fields.iter().find(|field| {
                field.retired_at.is_none() && (field.title.to_lowercase() == folded || field.key == folded)
            });
            let target = match custom {
                Some(field) => Some(Target::Field(field.key.clone())),
                None => Target::parse(&folded, fields).or_else(|| {
                    let (name, _) = HEADERS.iter().find(|(_, words)| words.iter().any(|word| folded.contains(word)))?;
                    Target::parse(name, fields)
                }),
            };
            let target = target.filter(|target| matches!(target, Target::Contact(_)) || !taken.contains(target));
            taken.extend(target.clone());
            target
        })
        .collect()
}

/// What a row says, before anything is checked against the database.
#[derive(Default)]
pub struct RowDraft {
    pub draft: Draft,
    pub note: Option<String>,
    /// Name or id of the department of record.
    pub department: Option<String>,
}

impl RowDraft {
    /// Names of what the row would add to the record of a customer who is there already, whether or not that one lacks it: what
    /// it lacks would tell who reads the log what it has.
    pub fn adds(&self) -> BTreeSet<String> {
        let draft = &self.draft;
        let parts = [
            (!draft.contact_points.is_empty(), "contact_points"),
            (draft.city.is_some(), "city"),
            (draft.source.is_some(), "source"),
            (draft.birthday.is_some(), "birthday"),
            (draft.contract_end.is_some(), "contract_end"),
            (draft.external_id.is_some(), "external_id"),
            (!draft.tags.is_empty(), "tags"),
        ];
        let parts = parts.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name.to_owned());
        parts.chain(draft.fields.iter().map(|(key, _)| format!("fields.{key}"))).collect()
    }
}

/// How the rows of a file are read.
pub struct Sheet<'a> {
    /// What each column is.
    pub mapping: &'a [Option<Target>],
    pub fields: &'a [Field],
    pub region: Region,
}

/// Reads one row; every broken rule is noted under the name of its target.
pub fn read_row(cells: &[String], sheet: &Sheet<'_>, input: &mut Input) -> RowDraft {
    let mut row = RowDraft::default();
    for (cell, target) in cells.iter().zip(sheet.mapping) {
        let Some(target) = target else { continue };
        let cell = cell.trim();
        if !cell.is_empty() {
            read_cell(&mut row, target, cell, sheet, input);
        }
    }
    let company = row.draft.contact_points.iter().position(|point| point.kind == ContactType::Company);
    // A row that names a company and no person is the company's own.
    if let (true, Some(index)) = (normal::text(&row.draft.name).is_empty(), company) {
        row.draft.name = row.draft.contact_points.remove(index).input;
        row.draft.kind = row.draft.kind.or(Some(CustomerKind::Company));
    }
    row.draft.kind = row.draft.kind.or(Some(CustomerKind::Person));
    let contacts = row.draft.contact_points.clone();
    let mut inner = Input::default();
    row.draft.clean(&mut inner);
    for violation in inner.violations() {
        input.refuse(target_of(&violation.field, &contacts), violation.rule.clone());
    }
    row
}

/// `contact_points[2].value` is `phone` to who reads the file.
fn target_of(path: &str, contacts: &[ContactDraft]) -> String {
    let index = path.strip_prefix("contact_points[").and_then(|rest| rest.split_once(']')).map(|(index, _)| index);
    match index.and_then(|index| index.parse::<usize>().ok()).and_then(|index| contacts.get(index)) {
        Some(point) => point.kind.name().to_owned(),
        None => path.to_owned(),
    }
}

fn read_cell(row: &mut RowDraft, target: &Target, cell: &str, sheet: &Sheet<'_>, input: &mut Input) {
    let draft = &mut row.draft;
    match target {
        Target::Name => cell.clone_into(&mut draft.name),
        Target::Kind => match normal::text(cell).to_lowercase().as_str() {
            "person" | "个人" => draft.kind = Some(CustomerKind::Person),
            "company" | "公司" | "企业" => draft.kind = Some(CustomerKind::Company),
            _ => input.refuse("kind", "must be person or company"),
        },
        Target::Contact(kind) => {
            // A cell of numbers may hold several; a company's name may hold a comma.
            let several = matches!(kind, ContactType::Phone | ContactType::Wechat | ContactType::Email);
            let parts = cell.split([';', '；', '、', '|']).map(str::trim).filter(|part| several && !part.is_empty());
            let whole = std::iter::once(cell).filter(|_| !several);
            draft.contact_points.extend(parts.chain(whole).map(|part| ContactDraft {
                id: None,
                kind: *kind,
                input: part.to_owned(),
                region: sheet.region,
                verified: false,
                primary: false,
            }));
        }
        Target::City => draft.city = Some(cell.to_owned()),
        Target::Source => draft.source = Some(cell.to_owned()),
        Target::Birthday => draft.birthday = Some(cell.to_owned()),
        Target::ContractEnd => draft.contract_end = Some(cell.to_owned()),
        Target::Tags => draft.tags.extend(field::split_list(&normal::text(cell)).map(str::to_owned)),
        Target::Stage => draft.stage = Some(normal::text(cell)),
        Target::Vip => match field::truth(&normal::text(cell)) {
            Ok(vip) => draft.vip = vip,
            Err(rule) => input.refuse("vip", rule),
        },
        Target::ExternalId => draft.external_id = Some(cell.to_owned()),
        Target::OwnerId => draft.owner = input.id_optional("owner_id", cell),
        Target::Department => row.department = Some(normal::text(cell)),
        Target::Note => row.note = Some(input.lines("note", cell, 0..=super::timeline::NOTE_MAX)),
        Target::Field(key) => {
            let Some(field) = sheet.fields.iter().find(|field| field.key == *key) else { return };
            match field::read_cell(field, cell) {
                Ok(value) => draft.fields.push((key.clone(), Some(value))),
                Err(rule) => input.refuse(target.name(), rule),
            }
        }
    }
}

/// What cleaning changed in a row, as `before → after`: for the preview.
pub fn changes(cells: &[String], sheet: &Sheet<'_>) -> Vec<Veiled<String>> {
    let changed = cells.iter().zip(sheet.mapping).filter_map(|(cell, target)| {
        let target = target.as_ref()?;
        let after = match target {
            Target::Contact(ContactType::Company) => normal::text(cell),
            Target::Contact(kind) => normal::contact(*kind, cell, sheet.region).ok()?,
            Target::Birthday | Target::ContractEnd => normal::date(cell).ok()?,
            Target::Note => return None,
            Target::Name
            | Target::Kind
            | Target::City
            | Target::Source
            | Target::Tags
            | Target::Stage
            | Target::Vip
            | Target::ExternalId
            | Target::OwnerId
            | Target::Department
            | Target::Field(_) => normal::text(cell),
        };
        let layer = target.layer(sheet.fields);
        (!cell.is_empty() && after != *cell).then(|| Veiled::new(layer, format!("{cell} → {after}")))
    });
    changed.take(CHANGES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(mapping: &[Option<Target>]) -> Sheet<'_> {
        Sheet { mapping, fields: &[], region: Region::DEFAULT }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn chinese_and_english_headers_suggest_their_targets() {
        let headers = texts(&[
            "姓名",
            "公司名称",
            "手机号",
            "微信号",
            "邮箱",
            "城市",
            "门店",
            "生日",
            "合同到期日",
            "来源",
            "标签",
            "备注",
            "随便",
        ]);
        let suggested = suggest(&headers, &[]);
        let names: Vec<_> =
            suggested.iter().map(|target| target.as_ref().map_or(String::new(), Target::name)).collect();
        assert_eq!(
            names,
            [
                "name",
                "company",
                "phone",
                "wechat",
                "email",
                "city",
                "department",
                "birthday",
                "contract_end",
                "source",
                "tags",
                "note",
                ""
            ]
        );
        let english = suggest(&texts(&["Full Name", "Mobile", "E-Mail", "Company"]), &[]);
        let names: Vec<_> = english.iter().map(|target| target.as_ref().map_or(String::new(), Target::name)).collect();
        assert_eq!(names, ["name", "phone", "email", "company"]);
    }

    #[test]
    fn a_row_with_a_company_and_no_person_is_the_companys() {
        let mapping = suggest(&texts(&["姓名", "公司名称", "手机号"]), &[]);
        let mut input = Input::default();
        let row =
            read_row(&texts(&["", "上海华信贸易有限公司", "13812345678; 021-62345678"]), &sheet(&mapping), &mut input);
        assert_eq!((row.draft.name.as_str(), row.draft.kind), ("上海华信贸易有限公司", Some(CustomerKind::Company)));
        assert_eq!(row.draft.contact_points.len(), 2);
        assert!(input.violations().is_empty());
    }

    #[test]
    fn a_bad_cell_is_told_under_the_name_of_its_target() {
        let mapping = suggest(&texts(&["姓名", "手机号", "生日"]), &[]);
        let mut input = Input::default();
        let _ = read_row(&texts(&["", "不详", "1990-02-30"]), &sheet(&mapping), &mut input);
        let fields: Vec<_> = input.violations().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["name", "birthday", "phone"]);
    }
}
