//! The filter language: a documented subset of CEL, read into a small tree with one three-valued meaning.
//!
//! The subset: the fields below and `fields.<key>`, literals, `== != < <= > >=`, `in`, `startsWith`, `endsWith`,
//! `contains`, `has(fields.<key>)`, `== null`, `timestamp()`, `! && ||` and parentheses. A comparison has a field on one side and a literal on
//! the other. A comparison with a field that has no value, or that the reader may not read on that row, is UNKNOWN:
//! neither it nor its negation holds. `evaluate` computes that in memory, `store::filter` in SQL.

mod depth;
mod evaluate;
mod parse;

pub use evaluate::{Truth, evaluate};
pub use parse::parse;
use revisit_core::id::FieldId;
use revisit_permission::Layer;

/// Characters of an expression at the most.
pub const LENGTH_MAX: usize = 4_000;
/// Entries of a literal list at the most.
pub const LIST_MAX: usize = 200;
/// Levels of nesting at the most.
pub const DEPTH_MAX: u16 = 24;

/// A filter as a tree.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Always(bool),
    /// What nobody may be told, so that neither it nor its negation holds.
    Unknown,
    Atom(Atom),
}

/// A question about one field. It is the unit that is true, false or unknown.
#[derive(Clone, PartialEq, Debug)]
pub struct Atom {
    pub field: FieldRef,
    pub test: Test,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Test {
    /// `has(fields.<key>)` or `field != null`: the only test that a missing value answers.
    Has,
    Compare(Comparison, Literal),
    /// The field is one of these.
    OneOf(Vec<Literal>),
    /// The list field contains this.
    Contains(String),
    Text(TextTest, String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A literal, already of the field's type.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
pub enum Literal {
    Text(String),
    /// Whole numbers: millionths of a number field, microseconds of an instant, minor units of an amount.
    Number(i64),
    Truth(bool),
}

/// What an atom asks about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldRef {
    Builtin(Builtin),
    Custom { id: FieldId, layer: Layer, column: Column },
}

/// Which typed column of the side table holds the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Text,
    Number,
    Date,
    Choices,
    Truth,
    Minor,
    Currency,
}

/// Fields that every customer has. All are basic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builtin {
    Name,
    Kind,
    Stage,
    Grade,
    Vip,
    Pooled,
    Tags,
    City,
    Source,
    Birthday,
    ContractEnd,
    ExternalId,
    OwnerId,
    DepartmentId,
    CreateTime,
    UpdateTime,
}

/// What a field's values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Text,
    Number,
    Minor,
    Date,
    Instant,
    Truth,
    Uuid,
    List,
}

impl Builtin {
    pub const ALL: [(&'static str, Self); 16] = [
        ("name", Self::Name),
        ("kind", Self::Kind),
        ("stage", Self::Stage),
        ("grade", Self::Grade),
        ("vip", Self::Vip),
        ("pooled", Self::Pooled),
        ("tags", Self::Tags),
        ("city", Self::City),
        ("source", Self::Source),
        ("birthday", Self::Birthday),
        ("contract_end", Self::ContractEnd),
        ("external_id", Self::ExternalId),
        ("owner_id", Self::OwnerId),
        ("department_id", Self::DepartmentId),
        ("create_time", Self::CreateTime),
        ("update_time", Self::UpdateTime),
    ];

    const fn kind(self) -> Type {
        match self {
            Self::Name | Self::Kind | Self::Stage | Self::Grade | Self::City | Self::Source | Self::ExternalId => {
                Type::Text
            }
            Self::Vip | Self::Pooled => Type::Truth,
            Self::Tags => Type::List,
            Self::Birthday | Self::ContractEnd => Type::Date,
            Self::OwnerId | Self::DepartmentId => Type::Uuid,
            Self::CreateTime | Self::UpdateTime => Type::Instant,
        }
    }
}

impl FieldRef {
    pub const fn layer(&self) -> Layer {
        match self {
            Self::Builtin(_) => Layer::Basic,
            Self::Custom { layer, .. } => *layer,
        }
    }

    pub const fn kind(&self) -> Type {
        match self {
            Self::Builtin(builtin) => builtin.kind(),
            Self::Custom { column, .. } => match column {
                Column::Text | Column::Currency => Type::Text,
                Column::Number => Type::Number,
                Column::Minor => Type::Minor,
                Column::Date => Type::Date,
                Column::Choices => Type::List,
                Column::Truth => Type::Truth,
            },
        }
    }
}

impl Expr {
    /// Calls `visit` for every atom.
    pub fn atoms<'a>(&'a self, visit: &mut impl FnMut(&'a Atom)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.atoms(visit)),
            Self::Not(part) => part.atoms(visit),
            Self::Always(_) | Self::Unknown => {}
            Self::Atom(atom) => visit(atom),
        }
    }

    /// The layers that it asks about.
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        self.atoms(&mut |atom| {
            if !layers.contains(&atom.field.layer()) {
                layers.push(atom.field.layer());
            }
        });
        layers
    }

    /// What is left of it for a reader from whom a layer is hidden.
    pub fn without(&self, layer: Layer) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.without(layer)).collect();
        match self {
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.without(layer))),
            Self::Atom(atom) if atom.field.layer() == layer => Self::Unknown,
            Self::Always(_) | Self::Unknown | Self::Atom(_) => self.clone(),
        }
    }

    /// Whether it asks about basic fields only: then it says the same to every reader who reads them.
    pub fn is_basic(&self) -> bool {
        let mut basic = true;
        self.atoms(&mut |atom| basic &= atom.field.layer() == Layer::Basic);
        basic
    }
}
