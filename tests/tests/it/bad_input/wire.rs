//! Messages made from their descriptors: plausible ones, and the same with one field spoilt.

use std::collections::BTreeMap;

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// Messages inside messages; a deeper field is left out.
const DEPTH_MAX: usize = 6;
/// Entries of a list that is far too long.
const MANY: usize = 2_000;
/// 2027-01-05, a day after the tests begin.
const TOMORROW: u64 = 1_799_110_000;
const UNKNOWN_ID: &str = "0190a0a0-0000-7000-8000-000000000001";

/// What is wrong with a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evil {
    /// It is not there.
    Missing,
    /// Ten thousand characters, or two thousand entries.
    Long,
    /// Text that is no id, no date and no name; a number that no enum knows; the greatest number.
    Malformed,
    /// Text with characters that databases refuse; the least number.
    Strange,
}

/// All of them.
pub const EVILS: [Evil; 4] = [Evil::Missing, Evil::Long, Evil::Malformed, Evil::Strange];

/// Where the evil is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the field with this number, counted in the order of visit.
    Field(usize),
    /// In every field.
    Everywhere,
}

/// A call of the contract.
pub struct Rpc {
    /// `/package.Service/Method`.
    pub path: String,
    /// The full name of its request.
    pub request: String,
    /// Whether one message goes each way.
    pub unary: bool,
    /// Whether the caller sends several.
    pub uploads: bool,
}

/// The messages of the contract.
pub struct Contract {
    /// Every call.
    pub rpcs: Vec<Rpc>,
    messages: BTreeMap<String, DescriptorProto>,
    /// What the contract says of each field, by message and name.
    comments: BTreeMap<(String, String), String>,
}

/// A message that was made.
pub struct Made {
    pub bytes: Vec<u8>,
    /// Fields that were visited.
    pub fields: usize,
    /// The spoilt field; `None` when the evil does not fit it, so that nothing is wrong.
    pub spoilt: Option<Spoilt>,
}

/// A field with something wrong in it.
pub struct Spoilt {
    /// Its path in the request.
    pub path: String,
    /// What the contract says of it.
    pub comment: String,
}

impl Contract {
    /// What the product serves.
    pub fn read() -> Self {
        let set = FileDescriptorSet::decode(revisit_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
        let (mut rpcs, mut messages, mut comments) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for file in &set.file {
            let package = file.package();
            for message in &file.message_type {
                add(&mut messages, package, message);
            }
            comment(file, &mut comments);
            for service in &file.service {
                let name = format!("/{package}.{}", service.name());
                rpcs.extend(service.method.iter().map(|method| rpc(&name, method)));
            }
        }
        Self { rpcs, messages, comments }
    }

    /// Whether a request of that type, or what it begins with when it comes in several messages, has a field for the
    /// key under which it may be sent again.
    pub fn has_key(&self, message: &str) -> bool {
        let parts = |field: &FieldDescriptorProto| {
            let part = field.oneof_index.is_some() && field.r#type() == Type::Message;
            part && self.has_key(field.type_name().trim_start_matches('.'))
        };
        let is_key = |field: &FieldDescriptorProto| field.name() == "request_id" && field.r#type() == Type::String;
        self.messages[message].field.iter().any(|field| is_key(field) || parts(field))
    }

    /// A request of that type with what is wrong in it; plausible without.
    pub fn make(&self, message: &str, evil: Option<(Evil, Place)>) -> Made {
        let mut maker = Maker { contract: self, evil, fields: 0, spoilt: None };
        let bytes = maker.message(message, "", 0);
        Made { bytes, fields: maker.fields, spoilt: maker.spoilt }
    }
}

fn rpc(service: &str, method: &MethodDescriptorProto) -> Rpc {
    Rpc {
        path: format!("{service}/{}", method.name()),
        request: method.input_type().trim_start_matches('.').to_owned(),
        unary: !method.client_streaming() && !method.server_streaming(),
        uploads: method.client_streaming(),
    }
}

fn add(messages: &mut BTreeMap<String, DescriptorProto>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        add(messages, &name, nested);
    }
    messages.insert(name, message.clone());
}

/// Numbers of the parts of a file's descriptor in the paths of its comments: messages, nested messages, fields.
const MESSAGES: i32 = 4;
const NESTED: i32 = 3;
const FIELDS: i32 = 2;

/// Reads the comments that stand above fields.
fn comment(file: &FileDescriptorProto, comments: &mut BTreeMap<(String, String), String>) {
    let at = |place: i32| usize::try_from(place).expect("places are positive");
    for location in file.source_code_info.iter().flat_map(|info| &info.location) {
        let [MESSAGES, message, inner @ .., FIELDS, field] = location.path.as_slice() else { continue };
        let mut message = &file.message_type[at(*message)];
        let mut name = format!("{}.{}", file.package(), message.name());
        for pair in inner.chunks(2) {
            let [NESTED, place] = pair else { continue };
            message = &message.nested_type[at(*place)];
            name = format!("{name}.{}", message.name());
        }
        let Some(field) = message.field.get(at(*field)) else { continue };
        comments.insert((name, field.name().to_owned()), location.leading_comments().trim().to_owned());
    }
}

struct Maker<'a> {
    contract: &'a Contract,
    evil: Option<(Evil, Place)>,
    fields: usize,
    spoilt: Option<Spoilt>,
}

impl Maker<'_> {
    fn message(&mut self, name: &str, path: &str, depth: usize) -> Vec<u8> {
        let message = &self.contract.messages[name];
        let mut bytes = Vec::new();
        // Of several that exclude each other the spoilt one is sent, else the first.
        let mut chosen: BTreeMap<i32, (bool, Vec<u8>)> = BTreeMap::new();
        for field in &message.field {
            let before = self.spoilt.is_some();
            let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
            let comment = self.contract.comments.get(&(name.to_owned(), field.name().to_owned()));
            let place = Spoilt { path, comment: comment.cloned().unwrap_or_default() };
            let made = self.field(field, place, depth);
            match field.oneof_index.filter(|_| !field.proto3_optional()) {
                Some(group) => {
                    let spoilt = self.spoilt.is_some() && !before;
                    let member = chosen.entry(group).or_insert_with(|| (spoilt, made.clone()));
                    if spoilt && !member.0 {
                        *member = (true, made);
                    }
                }
                None => bytes.extend(made),
            }
        }
        bytes.extend(chosen.into_values().flat_map(|(_, member)| member));
        bytes
    }

    fn field(&mut self, field: &FieldDescriptorProto, place: Spoilt, depth: usize) -> Vec<u8> {
        let evil = self.evil_here();
        let mut bytes = Vec::new();
        // The plausible kind of an extent is the first, and has none of the fields of the others.
        let is_others = OF_OTHER_KINDS.iter().any(|beginning| place.comment.starts_with(beginning));
        if is_others && matches!(evil, None | Some(Evil::Missing)) {
            return bytes;
        }
        if evil == Some(Evil::Missing) {
            self.spoil(place);
            return bytes;
        }
        let mut entries = 1;
        let path = place.path.clone();
        if evil == Some(Evil::Long) && field.label() == Label::Repeated {
            self.spoil(Spoilt { path: path.clone(), comment: place.comment.clone() });
            entries = MANY;
        }
        if field.r#type() == Type::Message {
            if depth == DEPTH_MAX {
                return bytes;
            }
            // What is not read has nothing in it that could be wrong.
            let read = !place.comment.starts_with("Output only");
            let name = field.type_name().trim_start_matches('.');
            let inner = if read { self.message(name, &path, depth + 1) } else { Vec::new() };
            (0..entries).for_each(|_| length_delimited(field, &inner, &mut bytes));
            return bytes;
        }
        // An entry of a list that is too long is otherwise good.
        let value = self.scalar(field, if entries > 1 { None } else { evil }, place);
        (0..entries).for_each(|_| bytes.extend_from_slice(&value));
        bytes
    }

    fn scalar(&mut self, field: &FieldDescriptorProto, evil: Option<Evil>, place: Spoilt) -> Vec<u8> {
        let number = u32::try_from(field.number()).expect("field numbers are positive");
        let mut bytes = Vec::new();
        let varint = |value: u64| {
            let mut bytes = Vec::new();
            encode_key(number, WireType::Varint, &mut bytes);
            encode_varint(value, &mut bytes);
            bytes
        };
        let kind = field.r#type();
        // Under a key that was used before, a repeat would be answered and nothing of it be checked.
        if field.name() == "request_id" && evil.is_none() && !place.comment.starts_with("Required") {
            return bytes;
        }
        if kind == Type::Bool {
            // Both of its values are good.
            return varint(1);
        }
        if matches!(kind, Type::String | Type::Bytes) {
            length_delimited(field, text(field, evil).as_bytes(), &mut bytes);
        } else if kind == Type::Double {
            encode_key(number, WireType::SixtyFourBit, &mut bytes);
            bytes.extend_from_slice(&if evil.is_some() { f64::NAN } else { 0.5 }.to_le_bytes());
        } else {
            bytes = match evil {
                Some(Evil::Malformed) if kind == Type::Enum => varint(99_999),
                Some(Evil::Malformed) => varint(greatest(kind)),
                // A negative number travels as the ten bytes of its two's complement.
                Some(Evil::Strange) if kind == Type::Int64 => varint(i64::MIN.cast_unsigned()),
                Some(Evil::Strange) => varint(i64::from(i32::MIN).cast_unsigned()),
                Some(Evil::Long | Evil::Missing) | None => return varint(plausible_number(field, &place.path)),
            };
        }
        if evil.is_some() {
            self.spoil(place);
        }
        bytes
    }

    fn evil_here(&mut self) -> Option<Evil> {
        let here = self.fields;
        self.fields += 1;
        self.evil.filter(|(_, place)| [Place::Everywhere, Place::Field(here)].contains(place)).map(|(evil, _)| evil)
    }

    fn spoil(&mut self, place: Spoilt) {
        self.spoilt.get_or_insert(place);
    }
}

/// How the comments of fields begin that belong to some kinds of extents.
const OF_OTHER_KINDS: [&str; 3] = ["With a department kind", "With TEAM", "With IDS"];
/// Names of instants at which something ends that another one begins.
const ENDS: [&str; 3] = ["end_time", "until_time", "due_before_time"];

const fn greatest(kind: Type) -> u64 {
    if matches!(kind, Type::Int64) { i64::MAX.cast_unsigned() } else { i32::MAX.cast_unsigned() as u64 }
}

fn plausible_number(field: &FieldDescriptorProto, path: &str) -> u64 {
    match field.name() {
        // A time that begins tomorrow.
        "seconds" if ENDS.iter().any(|end| path.contains(end)) => TOMORROW + 1,
        "seconds" => TOMORROW,
        "nanos" => 0,
        // A span that begins with 1.
        "until_micros" => 2,
        _ => 1,
    }
}

fn text(field: &FieldDescriptorProto, evil: Option<Evil>) -> String {
    match evil {
        Some(Evil::Long) => "长".repeat(10_000),
        Some(Evil::Malformed) => "不是-nonsense{{".to_owned(),
        Some(Evil::Strange) => "a\u{0}\u{7f}\u{202e}'\"%;--\u{1f600}\n".to_owned(),
        Some(Evil::Missing) | None => plausible_text(field.name()).to_owned(),
    }
}

fn plausible_text(name: &str) -> &'static str {
    match name {
        // A page token and a version are either the server's own or wrong.
        "page_token" | "etag" => "",
        "time_zone" => "Asia/Shanghai",
        "filter" => "stage == \"lead\"",
        "stage" | "stages" => "lead",
        "grade" | "grades" => "A",
        "locale" => "en",
        "email" | "administrator_email" => "a@b.example",
        "url" => "https://example.com/hook",
        "value" => "13800001001",
        "actions" | "action" => "customer.view",
        "layer" | "layers" | "lent_layers" | "issue_layers" => "basic",
        "currency" => "CNY",
        "start_time" | "end_time" | "time_of_day" | "start" | "end" => "09:30",
        "date" | "start_date" | "end_date" | "birthday" | "contract_end" => "2027-01-05",
        "local_time" => "2027-01-05T09:30",
        "key" | "username" | "administrator_username" => "plausible",
        "fields" => "name",
        id if id.ends_with("_id") || id.ends_with("_ids") => UNKNOWN_ID,
        _ => "甲",
    }
}

fn length_delimited(field: &FieldDescriptorProto, value: &[u8], bytes: &mut Vec<u8>) {
    encode_key(u32::try_from(field.number()).expect("field numbers are positive"), WireType::LengthDelimited, bytes);
    encode_varint(u64::try_from(value.len()).expect("it fits"), bytes);
    bytes.extend_from_slice(value);
}
