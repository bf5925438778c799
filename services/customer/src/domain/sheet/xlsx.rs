//! A workbook's first sheet as CSV, so that everything behind it knows one format only.

use std::io::{Cursor, Read, Seek};

use calamine::{DataRef, Reader, Xlsx};

use super::line;

/// Bytes of a workbook at the most: its strings are held in memory while it is read.
pub const WORKBOOK_MAX: usize = 32 << 20;
/// Bytes of the unpacked workbook at the most, as its own directory states them.
const UNPACKED_MAX: u64 = 256 << 20;
/// Columns of a sheet at the most; what stands beyond is left out.
const COLUMNS_MAX: u32 = 200;

/// Writes the rows of the first sheet as CSV in UTF-8; `take` is called with pieces of it.
pub fn to_csv(workbook: &[u8], mut take: impl FnMut(&str)) -> Result<(), &'static str> {
    const RULE: &str = "is not a readable XLSX workbook";
    if unpacked(workbook).ok_or(RULE)? > UNPACKED_MAX {
        return Err("is too large when unpacked");
    }
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(workbook)).map_err(|_| RULE)?;
    let sheet = book.sheet_names().first().cloned().ok_or("has no sheet")?;
    let mut reader = book.worksheet_cells_reader(&sheet).map_err(|_| RULE)?;
    let (mut row, mut cells) = (0, Vec::new());
    while let Some(cell) = reader.next_cell().map_err(|_| RULE)? {
        let (at_row, column) = cell.get_position();
        if at_row != row && !cells.is_empty() {
            take(&line(std::mem::take(&mut cells)));
        }
        row = at_row;
        if column < COLUMNS_MAX {
            let column = column as usize;
            cells.resize(cells.len().max(column + 1), String::new());
            cells[column] = text(cell.get_value());
        }
    }
    if !cells.is_empty() {
        take(&line(cells));
    }
    Ok(())
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

/// The sum of the unpacked sizes in the directory at the end of a ZIP file.
fn unpacked(zip: &[u8]) -> Option<u64> {
    const END: [u8; 4] = *b"PK\x05\x06";
    const ENTRY: [u8; 4] = *b"PK\x01\x02";
    let end = zip.windows(4).rposition(|window| window == END)?;
    let directory = u32::from_le_bytes(zip.get(end + 16..end + 20)?.try_into().ok()?);
    let mut at = Cursor::new(zip);
    at.seek(std::io::SeekFrom::Start(u64::from(directory))).ok()?;
    let mut sum = 0;
    let mut header = [0; 46];
    while at.read_exact(&mut header).is_ok() && header.starts_with(&ENTRY) {
        sum += u64::from(u32::from_le_bytes(header[24..28].try_into().ok()?));
        let length = |from: usize| i64::from(u16::from_le_bytes([header[from], header[from + 1]]));
        at.seek_relative(length(28) + length(30) + length(32)).ok()?;
    }
    Some(sum)
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
        let mut csv = String::new();
        to_csv(&book.save_to_buffer().expect("saves"), |piece| csv.push_str(piece)).expect("reads");
        assert_eq!(csv, "姓名,手机号,生日\r\n\"王,伟\",13812345678,1992-02-29\r\n");
        assert!(to_csv(b"PK not a workbook", |_| {}).is_err());
    }
}
