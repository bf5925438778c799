//! Which fields of answers and events may carry what somebody must not see, and who fills them: a field that nobody has
//! classified is found, and so is a file that fills one from anything but what the redactor leaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use revisit_permission::{Layer, Resource};

/// Every field of every answer and event, as people have classified them.
const CLASSIFIED: &str = include_str!("fields.txt");
/// The four services.
const PACKAGES: [&str; 4] =
    ["revisit.customer.v1", "revisit.followup.v1", "revisit.identity.v1", "revisit.notification.v1"];
/// Where answers are made: nothing there needs a value for anything else.
const SHOWING: [&str; 6] = [
    "customer/src/grpc",
    "followup/src/grpc",
    "followup/src/show.rs",
    "identity/src/grpc",
    "identity/src/http",
    "notification/src/grpc",
];
/// Marks of values whose layer is said by the row, and not by the type.
const OWN: &str = "own";

/// A message as it is classified.
struct Line {
    fields: Vec<(String, Option<String>)>,
    filled_by: Vec<String>,
}

fn classified() -> BTreeMap<String, Line> {
    let lines = CLASSIFIED.lines().filter(|line| !line.starts_with('#'));
    let read = lines.map(|line| {
        let (message, fields) = line.split_once(':').expect("a message and its fields");
        let (name, filled_by) = message.split_once(" by ").map_or((message, ""), |(name, files)| (name, files));
        let filled_by = filled_by.split_whitespace().map(str::to_owned).collect();
        let field = |field: &str| {
            let (name, mark) = field.split_once('=').map_or((field, None), |(name, mark)| (name, Some(mark)));
            (name.to_owned(), mark.map(str::to_owned))
        };
        (name.to_owned(), Line { fields: fields.split_whitespace().map(field).collect(), filled_by })
    });
    read.collect()
}

/// Messages that leave a service: in answers and in events, with all that they contain.
fn leaving() -> BTreeMap<String, DescriptorProto> {
    let set = FileDescriptorSet::decode(revisit_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let files = || set.file.iter().filter(|file| PACKAGES.contains(&file.package()));
    let short = |name: &str| name.trim_start_matches('.').trim_start_matches("revisit.").to_owned();
    let known: BTreeMap<String, &DescriptorProto> = files()
        .flat_map(|file| file.message_type.iter().map(|it| (short(&format!("{}.{}", file.package(), it.name())), it)))
        .collect();
    let answers = files().flat_map(|file| &file.service).flat_map(|service| &service.method);
    let mut open: Vec<String> = answers.map(|method| short(method.output_type())).collect();
    for file in files().filter(|file| file.name().ends_with("/events.proto")) {
        open.extend(file.message_type.iter().map(|event| short(&format!("{}.{}", file.package(), event.name()))));
    }
    let mut leaving = BTreeMap::new();
    while let Some(name) = open.pop() {
        let Some(message) = known.get(&name).filter(|_| !leaving.contains_key(&name)) else { continue };
        open.extend(message.field.iter().map(|field| short(field.type_name())));
        leaving.insert(name, (*message).clone());
    }
    leaving
}

#[test]
fn every_field_that_leaves_a_service_is_classified() {
    let (leaving, classified) = (leaving(), classified());
    let names = |message: &DescriptorProto| message.field.iter().map(|field| field.name().to_owned()).collect();
    let leave: BTreeMap<String, BTreeSet<String>> =
        leaving.iter().map(|(name, message)| (name.clone(), names(message))).collect();
    let known: BTreeMap<String, BTreeSet<String>> = classified
        .iter()
        .map(|(name, line)| (name.clone(), line.fields.iter().map(|(field, _)| field.clone()).collect()))
        .collect();
    assert_eq!(leave, known, "fields.txt says of each field of each answer and event whose layer it is");
}

#[test]
fn what_is_classified_agrees_with_the_registry_of_layers() {
    let registered = [
        (Resource::Customer, "customer.v1.Customer"),
        (Resource::Task, "followup.v1.Task"),
        (Resource::User, "identity.v1.User"),
    ];
    for (resource, message) in registered {
        for (field, mark) in &classified()[message].fields {
            let layer = resource.layer_of(field);
            match mark.as_deref() {
                // The registry knows no custom field, and takes the strictest.
                Some(OWN) => assert_eq!(layer, Layer::Sensitive, "{message}.{field}"),
                Some(mark) => assert_eq!(layer.name(), mark, "{message}.{field}"),
                None => assert_eq!(layer, Layer::Basic, "{message}.{field}"),
            }
        }
    }
    for (message, line) in classified() {
        let marks = line.fields.iter().filter_map(|(_, mark)| mark.as_deref());
        let strange: Vec<_> = marks.filter(|mark| *mark != OWN && Layer::parse(mark).is_none()).collect();
        assert!(strange.is_empty(), "{message}: {strange:?}");
    }
}

pub fn services() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services")
}

/// The source files below a place.
pub fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).expect("a folder of sources");
    entries.flat_map(|entry| sources(&entry.expect("an entry").path())).collect()
}

#[test]
fn answers_are_made_of_what_the_redactor_leaves_and_of_nothing_else() {
    let lifted: Vec<_> = SHOWING
        .iter()
        .flat_map(|place| sources(&services().join(place)))
        .filter(|file| fs::read_to_string(file).expect("a source").contains("Purpose::"))
        .collect();
    assert!(lifted.is_empty(), "a veil is lifted where answers are made: {lifted:?}");
    for (message, line) in classified() {
        let marked = line.fields.iter().any(|(_, mark)| mark.is_some());
        assert_eq!(marked, !line.filled_by.is_empty(), "{message}: who fills what may be hidden?");
        let (_, name) = message.rsplit_once('.').expect("a package");
        for file in &line.filled_by {
            let source = fs::read_to_string(services().join(file)).expect("the file that fills it");
            assert!(source.contains(name), "{file} does not fill {message}");
        }
    }
}
