//! Everything that lies in the service's database, as whoever steals it would read it.

use std::{collections::BTreeSet, fs, path::Path};

use revisit_tests::databases::Backend;

use super::support::Office;

/// Patterns shorter than this would be found by chance.
const SECRET_MIN: usize = 8;

/// All bytes of the database. On PostgreSQL they come as text, and what is binary is taken out of its hexadecimal form.
pub async fn dump(office: &Office) -> Vec<u8> {
    match office.database.backend {
        Backend::Sqlite => {
            let file = office.database.url.trim_start_matches("sqlite://");
            let parts = ["", "-wal"].map(|part| format!("{file}{part}"));
            let parts = parts.iter().filter(|part| Path::new(part).exists());
            parts.flat_map(|part| fs::read(part).expect("it is readable")).collect()
        }
        Backend::Postgres => {
            let text = "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'public'";
            let tables: Vec<String> =
                office.rows(text).await.iter().map(|row| row.try_get("", "name").expect("a name")).collect();
            assert!(tables.iter().any(|table| table == "contact_point"), "{tables:?}");
            let mut bytes = Vec::new();
            for table in tables {
                for row in office.rows(&format!("SELECT t::text AS line FROM \"{table}\" t")).await {
                    let line: String = row.try_get("", "line").expect("a line");
                    bytes.extend_from_slice(line.as_bytes());
                    bytes.push(b'\n');
                    line.split("\\x").skip(1).for_each(|binary| unpack(binary.as_bytes(), &mut bytes));
                }
            }
            bytes
        }
    }
}

/// The bytes that the hexadecimal digits at the front stand for.
fn unpack(digits: &[u8], bytes: &mut Vec<u8>) {
    let value = |digit: u8| char::from(digit).to_digit(16);
    for pair in digits.chunks_exact(2) {
        let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else { break };
        bytes.push(u8::try_from(high * 16 + low).expect("two digits"));
    }
    bytes.push(b'\n');
}

/// Those of the secrets that lie in the bytes.
pub fn found<'a>(bytes: &[u8], secrets: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    // One pass, however many secrets: nearly every place is passed over by its first two bytes.
    let mut begins: Vec<Vec<&str>> = vec![Vec::new(); 1 << 16];
    let front = |pair: &[u8]| usize::from(u16::from_be_bytes([pair[0], pair[1]]));
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_MIN) {
        begins[front(secret.as_bytes())].push(secret);
    }
    let mut found = BTreeSet::new();
    for at in 0..bytes.len().saturating_sub(1) {
        let candidates = &begins[front(&bytes[at..])];
        found.extend(candidates.iter().filter(|secret| bytes[at..].starts_with(secret.as_bytes())));
    }
    found
}
