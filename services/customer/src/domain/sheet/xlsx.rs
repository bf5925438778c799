//! A workbook's first sheet as CSV, so that everything behind it knows one format only.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader, Xlsx};

use super::{FILE_MAX, line};

/// Bytes of a workbook at the most: its strings are held in memory while it is read.
pub const WORKBOOK_MAX: usize = 32 << 20;
/// Bytes of the unpacked workbook at the most. They are counted, for what its own directory states may be a lie.
const UNPACKED_MAX: u64 = 256 << 20;
/// Files within a workbook at the most.
const ENTRIES_MAX: usize = 10_000;
/// Characters of a cell at the most, as spreadsheet programs have it: one long text may stand in millions of cells.
const CELL_MAX: usize = 32_767;
/// Name of the part with the texts of all cells.
const STRINGS: &str = "sharedstrings.xml";
/// The attribute by which that part says how many texts it has.
const COUNT: &[u8] = b"uniqueCount";
/// Bytes of a text in that part at the least: `<si/>`.
const STRING_MIN: usize = 5;
const UNREADABLE: &str = "is not a readable XLSX workbook";
/// Bytes of CSV that are handed on together.
const PIECE: usize = 64 << 10;
/// Columns of a sheet at the most; what stands beyond is left out.
const COLUMNS_MAX: u32 = 200;

/// Writes the rows of the first sheet as CSV in UTF-8; `take` is called with pieces of it, and its refusal ends it.
/// Whatever the workbook says of itself, no more is held than its strings, one row and one piece.
pub fn to_csv(workbook: &[u8], mut take: impl FnMut(String) -> Result<(), &'static str>) -> Result<(), &'static str> {
    require_unpacked_within(workbook, UNPACKED_MAX)?;
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(workbook)).map_err(|_| UNREADABLE)?;
    let sheet = book.sheet_names().first().cloned().ok_or("has no sheet")?;
    let mut reader = book.worksheet_cells_reader(&sheet).map_err(|_| UNREADABLE)?;
    let (mut row, mut cells, mut piece, mut written) = (0, Vec::new(), String::new(), 0);
    loop {
        let cell = reader.next_cell().map_err(|_| UNREADABLE)?;
        let position = cell.as_ref().map(calamine::Cell::get_position);
        if position.is_none_or(|(at, _)| at != row) && !cells.is_empty() {
            let line = line(std::mem::take(&mut cells));
            written += line.len() as u64;
            if written > FILE_MAX {
                return Err("has more than 512 MiB");
            }
            piece.push_str(&line);
        }
        if piece.len() >= PIECE || (cell.is_none() && !piece.is_empty()) {
            take(std::mem::take(&mut piece))?;
        }
        let (Some(cell), Some((at, column))) = (cell, position) else { return Ok(()) };
        row = at;
        if column < COLUMNS_MAX {
            let column = column as usize;
            cells.resize(cells.len().max(column + 1), String::new());
            cells[column] = text(cell.get_value());
            if cells[column].len() > CELL_MAX && cells[column].chars().count() > CELL_MAX {
                return Err("has a cell of more than 32,767 characters");
            }
        }
    }
}

fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        // A phone number that a program took for a number has no fraction; `{}` writes it without an exponent.
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(truth) => truth.to_string(),
        DataRef::DateTime(at) => date(at.as_f64()),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// Days since 1899-12-30, as spreadsheets count.
fn date(days: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a day number that does not fit yields no date below")]
    let days = days.trunc() as i64;
    chrono::NaiveDate::from_ymd_opt(1899, 12, 30)
        .and_then(|epoch| epoch.checked_add_signed(chrono::TimeDelta::try_days(days)?))
        .map_or_else(String::new, |date| date.format("%Y-%m-%d").to_string())
}

/// Unpacks everything once, as it will be unpacked, and counts.
fn require_unpacked_within(workbook: &[u8], most: u64) -> Result<(), &'static str> {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).map_err(|_| UNREADABLE)?;
    if archive.len() > ENTRIES_MAX {
        return Err("has too many parts");
    }
    let mut left = most;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|_| UNREADABLE)?;
        let strings = entry.name().map_err(|_| UNREADABLE)?.to_ascii_lowercase().ends_with(STRINGS);
        let mut unpacked = entry.take(left + 1);
        let counted = if strings {
            let mut part = Vec::new();
            unpacked.read_to_end(&mut part).map_err(|_| UNREADABLE)?;
            require_room_for_strings(&part)?;
            part.len() as u64
        } else {
            std::io::copy(&mut unpacked, &mut std::io::sink()).map_err(|_| UNREADABLE)?
        };
        left = left.checked_sub(counted).ok_or("is too large when unpacked")?;
    }
    Ok(())
}

/// The reader makes room for as many strings as this part says it has, before it has seen one: a part of a few bytes
/// could ask for all memory.
fn require_room_for_strings(part: &[u8]) -> Result<(), &'static str> {
    // In an encoding of two bytes a letter the number could not be found below.
    if part.contains(&0) {
        return Err(UNREADABLE);
    }
    let said = part.windows(COUNT.len()).enumerate().filter(|(_, window)| *window == COUNT);
    for (at, _) in said {
        let after = part[at + COUNT.len()..].trim_ascii_start();
        let Some(after) = after.strip_prefix(b"=") else { continue };
        let after = after.trim_ascii_start();
        let digits = after.get(1..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
        let said = digits.fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        if said > part.len() / STRING_MIN {
            return Err("says that it has more texts than it can hold");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_dates_and_texts_of_a_sheet_become_csv() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        let date = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
        sheet.write(0, 0, "姓名").expect("writes");
        sheet.write(0, 1, "手机号").expect("writes");
        sheet.write(0, 2, "生日").expect("writes");
        sheet.write(2, 0, "王,伟").expect("writes");
        sheet.write(2, 1, 13_812_345_678_f64).expect("writes");
        sheet.write_with_format(2, 2, 33_663, &date).expect("writes");
        let text = csv(&book.save_to_buffer().expect("saves")).expect("reads");
        assert_eq!(text, "姓名,手机号,生日\r\n\"王,伟\",13812345678,1992-02-29\r\n");
        assert!(csv(b"PK not a workbook").is_err());
    }

    fn csv(workbook: &[u8]) -> Result<String, &'static str> {
        let mut csv = String::new();
        to_csv(workbook, |piece| {
            csv.push_str(&piece);
            Ok(())
        })?;
        Ok(csv)
    }

    #[test]
    fn what_unpacks_to_more_than_allowed_is_refused_whatever_the_archive_states_of_itself() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "x".repeat(30_000)).expect("writes");
        let mut bytes = book.save_to_buffer().expect("saves");
        assert_eq!(require_unpacked_within(&bytes, 20_000), Err("is too large when unpacked"));
        assert_eq!(require_unpacked_within(&bytes, 1 << 20), Ok(()));
        // In the directory at the end each entry states its unpacked size, 24 bytes in: it says one byte.
        let entries: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
        for at in entries {
            bytes[at + 24..at + 28].copy_from_slice(&1_u32.to_le_bytes());
        }
        assert!(require_unpacked_within(&bytes, 20_000).is_err(), "it is counted");
    }

    #[test]
    fn no_room_is_made_for_texts_that_a_workbook_only_says_to_have() {
        let part = |attribute: &str| format!("<sst count=\"1\" {attribute}><si><t>x</t></si></sst>").into_bytes();
        assert_eq!(require_room_for_strings(&part("uniqueCount=\"1\"")), Ok(()));
        assert_eq!(require_room_for_strings(&part("")), Ok(()));
        for attribute in
            ["uniqueCount=\"4000000000\"", "uniqueCount \n = '4000000000'", "uniqueCount=\"99999999999999999999999\""]
        {
            assert!(require_room_for_strings(&part(attribute)).is_err(), "{attribute}");
        }
        let wide: Vec<u8> = part("uniqueCount=\"9\"").into_iter().flat_map(|byte| [byte, 0]).collect();
        assert!(require_room_for_strings(&wide).is_err());

        let mut book = rust_xlsxwriter::Workbook::new();
        book.add_worksheet().write(0, 0, "x").expect("writes");
        let good = book.save_to_buffer().expect("saves");
        let mut source = zip::ZipArchive::new(Cursor::new(good.as_slice())).expect("a workbook is an archive");
        let mut lying = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..source.len() {
            let mut entry = source.by_index(index).expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("it is XML");
            lying
                .start_file(entry.name().expect("a name"), zip::write::SimpleFileOptions::default())
                .expect("it begins");
            let text = text.replace("uniqueCount=\"1\"", "uniqueCount=\"4000000000\"");
            std::io::Write::write_all(&mut lying, text.as_bytes()).expect("it is written");
        }
        let lying = lying.finish().expect("it ends").into_inner();
        assert_eq!(csv(&lying), Err("says that it has more texts than it can hold"));
    }

    #[test]
    fn a_text_that_stands_in_many_cells_is_handed_on_in_pieces_and_ends_at_a_refusal() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        let long = "长".repeat(2_000);
        for row in 0..200 {
            sheet.write(row, 0, long.as_str()).expect("writes");
        }
        let bytes = book.save_to_buffer().expect("saves");
        let mut longest = 0;
        let pieces = to_csv(&bytes, |piece| {
            longest = longest.max(piece.len());
            Ok(())
        });
        assert_eq!(pieces, Ok(()));
        assert!(longest < 2 * PIECE, "{longest}");
        let mut taken = 0;
        let refused = to_csv(&bytes, |_| {
            taken += 1;
            Err("is enough")
        });
        assert_eq!((refused, taken), (Err("is enough"), 1));
    }
}
