//! Files of rows: which encoding and delimiter a CSV has, where each record begins and ends, and what its cells say.
//!
//! Bytes come in pieces of any size and at most one record is held, so memory is bounded whatever the file. A record
//! that breaks a rule is answered as broken and the next one is read: one bad line never takes the file with it. In both
//! encodings no byte of a longer character looks like a comma, a quote or a line break, so records are cut before they
//! are decoded.

mod xlsx;

use encoding_rs::GB18030;
pub use xlsx::{WORKBOOK_MAX, to_csv};

/// Bytes of a record at the most; a longer one is a rejected row.
pub const RECORD_MAX: usize = 1 << 20;
/// Bytes from the front of a file by which encoding and delimiter are told.
pub const SAMPLE: usize = 64 << 10;
/// Bytes of a file at the most.
pub const FILE_MAX: u64 = 512 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Utf8,
    Gb18030,
}

impl Encoding {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gb18030 => "gb18030",
        }
    }

    pub fn parse(name: &str) -> Self {
        if name == Self::Gb18030.name() { Self::Gb18030 } else { Self::Utf8 }
    }

    /// Told from the front of a file: UTF-8 if all of it is, a character that the sample cuts in half excepted.
    pub fn detect(sample: &[u8]) -> Result<Self, &'static str> {
        if sample.contains(&0) || sample.starts_with(&[0xFF, 0xFE]) || sample.starts_with(&[0xFE, 0xFF]) {
            return Err("is not text in UTF-8 or GB18030");
        }
        match std::str::from_utf8(sample) {
            Ok(_) => Ok(Self::Utf8),
            Err(error) if error.error_len().is_none() => Ok(Self::Utf8),
            Err(_) => Ok(Self::Gb18030),
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<String, &'static str> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "is not valid UTF-8"),
            Self::Gb18030 => {
                let (text, broken) = GB18030.decode_without_bom_handling(bytes);
                if broken { Err("is not valid GB18030") } else { Ok(text.into_owned()) }
            }
        }
    }
}

/// The delimiter that occurs most in the first line.
pub fn delimiter(sample: &[u8]) -> u8 {
    let line = sample.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    // On equal counts the comma, which stands last, wins.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// One record, or the rule that it breaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in the file right behind it: where reading can begin again.
    pub end: u64,
    pub content: Result<Vec<u8>, &'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the field or half of an escaped quote.
    Closing,
}

/// Cuts a stream of bytes into records.
pub struct Splitter {
    delimiter: u8,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    start: usize,
    /// How far the buffer was looked at.
    scanned: usize,
    state: State,
    position: u64,
    /// The rest of a line that is too long is dropped.
    skipping: bool,
}

impl Splitter {
    /// A splitter of a stream that begins at `position` of its file, at the start of a record.
    pub fn new(delimiter: u8, position: u64) -> Self {
        let state = State::FieldStart;
        Self { delimiter, buffer: Vec::new(), start: 0, scanned: 0, state, position, skipping: false }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that belong to no record yet.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The next record; none when more bytes are needed, or at the end of the file. Empty lines are no records.
    pub fn next(&mut self, end_of_file: bool) -> Option<Record> {
        loop {
            let length = match self.line_end() {
                Some(length) => length,
                None if self.rest().len() > RECORD_MAX => {
                    if self.state == State::Quoted && !self.skipping && self.rest().contains(&b'\n') {
                        return Some(self.unclosed());
                    }
                    self.skip_rest();
                    continue;
                }
                None if !end_of_file => return None,
                None if self.state == State::Quoted && !self.skipping => return Some(self.unclosed()),
                None if self.skipping || !self.rest().is_empty() => self.rest().len(),
                None => return None,
            };
            if let Some(record) = self.cut(length) {
                return Some(record);
            }
        }
    }

    /// Bytes of the record at the front, with its line break.
    fn line_end(&mut self) -> Option<usize> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            if byte == b'\n' && (self.skipping || self.state != State::Quoted) {
                return Some(self.scanned - self.start);
            }
            if self.skipping {
                continue;
            }
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') | (State::Closing, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Closing,
                (State::Quoted, _) => State::Quoted,
                (State::FieldStart | State::Plain | State::Closing, byte) if byte == self.delimiter => {
                    State::FieldStart
                }
                (State::Closing, b'\r') => State::Closing,
                (State::FieldStart | State::Plain | State::Closing, _) => State::Plain,
            };
        }
        None
    }

    /// Passes over bytes at the front.
    fn pass(&mut self, length: usize) {
        self.start += length;
        self.scanned = self.start;
        self.position += length as u64;
        self.state = State::FieldStart;
    }

    fn cut(&mut self, length: usize) -> Option<Record> {
        let bytes = &self.rest()[..length];
        let text = bytes.trim_ascii_end();
        let content = if self.skipping || bytes.len() > RECORD_MAX {
            Some(Err("is longer than 1 MiB"))
        } else {
            // Blanks behind the last cell belong to it; only the line break goes.
            let breaks = bytes.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            (!text.is_empty()).then(|| Ok(bytes[..length - breaks].to_vec()))
        };
        self.skipping = false;
        self.pass(length);
        content.map(|content| Record { end: self.position, content })
    }

    /// More than a record may have, and no end in sight: what is there is dropped, and the record is told when its
    /// line ends, so that reading can begin again behind it.
    fn skip_rest(&mut self) {
        self.pass(self.rest().len());
        self.skipping = true;
        self.buffer.clear();
        (self.start, self.scanned) = (0, 0);
    }

    /// A quote that is never closed would swallow the rest of the file: only its first line is given up.
    fn unclosed(&mut self) -> Record {
        let line = self.rest().iter().position(|byte| *byte == b'\n').map_or(self.rest().len(), |at| at + 1);
        self.pass(line);
        Record { end: self.position, content: Err("has a quote that is not closed") }
    }
}

/// The cells of a record.
pub fn cells(record: &[u8], delimiter: u8, encoding: Encoding) -> Result<Vec<String>, &'static str> {
    let record = record.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(record);
    let mut cells = Vec::new();
    let mut rest = record;
    loop {
        let (cell, tail) =
            if rest.first() == Some(&b'"') { quoted(&rest[1..], delimiter)? } else { plain(rest, delimiter) };
        cells.push(encoding.decode(&cell)?);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(cells),
        }
    }
}

type Cell<'a> = (Vec<u8>, Option<&'a [u8]>);

fn plain(rest: &[u8], delimiter: u8) -> Cell<'_> {
    match rest.iter().position(|byte| *byte == delimiter) {
        Some(at) => (rest[..at].to_vec(), Some(&rest[at + 1..])),
        None => (rest.to_vec(), None),
    }
}

fn quoted(rest: &[u8], delimiter: u8) -> Result<Cell<'_>, &'static str> {
    let mut cell = Vec::new();
    let mut at = 0;
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (Some(b'"'), Some(b'"')) => {
                cell.push(b'"');
                at += 2;
            }
            (Some(b'"'), None) => return Ok((cell, None)),
            (Some(b'"'), Some(next)) if *next == delimiter => return Ok((cell, Some(&rest[at + 2..]))),
            (Some(b'"'), Some(_)) => return Err("has text behind a closing quote"),
            (Some(byte), _) => {
                cell.push(*byte);
                at += 1;
            }
            (None, _) => return Err("has a quote that is not closed"),
        }
    }
}

/// One line of CSV in UTF-8. A cell that a spreadsheet program would run as a formula is made harmless.
pub fn line(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut line = String::new();
    for (index, cell) in cells.into_iter().enumerate() {
        let cell = cell.as_ref();
        if index > 0 {
            line.push(',');
        }
        let formula = cell.starts_with(['=', '@', '\t', '\r'])
            || (cell.starts_with(['+', '-']) && !cell[1..].bytes().all(|c| c.is_ascii_digit() || b" -.".contains(&c)));
        if formula || cell.contains(['"', ',', '\n', '\r', ';', '\t']) || cell.starts_with(' ') || cell.ends_with(' ') {
            line.push('"');
            if formula {
                line.push('\'');
            }
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &[u8], piece: usize) -> Vec<Result<String, &'static str>> {
        let mut splitter = Splitter::new(b',', 0);
        let mut records = Vec::new();
        for piece in text.chunks(piece) {
            splitter.push(piece);
            while let Some(record) = splitter.next(false) {
                records.push(record.content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        while let Some(record) = splitter.next(true) {
            records.push(record.content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        records
    }

    #[test]
    fn records_do_not_depend_on_how_the_bytes_arrive() {
        let text = "a,b\r\n\"x\ny\",\"1 \"\"2\"\"\"\n\n,,\nlast,one".as_bytes();
        let expected = vec![
            Ok("a,b".to_owned()),
            Ok("\"x\ny\",\"1 \"\"2\"\"\"".to_owned()),
            Ok(",,".to_owned()),
            Ok("last,one".to_owned()),
        ];
        for piece in [1, 2, 3, 7, 1_000] {
            assert_eq!(records(text, piece), expected, "{piece}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_one_line() {
        let text = b"a,b\n\"open,c\nd,e\nf,g\n";
        assert_eq!(
            records(text, 5),
            [Ok("a,b".to_owned()), Err("has a quote that is not closed"), Ok("d,e".to_owned()), Ok("f,g".to_owned())]
        );
    }

    #[test]
    fn an_endless_line_is_one_broken_record_and_is_not_kept() {
        let mut splitter = Splitter::new(b',', 0);
        for _ in 0..100 {
            splitter.push(&vec![b'x'; 100_000]);
            assert_eq!(splitter.next(false), None);
            assert!(splitter.buffer.capacity() < 4 * RECORD_MAX);
        }
        splitter.push(b"\nnext,row\n");
        let broken = splitter.next(true);
        assert_eq!(broken, Some(Record { end: 10_000_001, content: Err("is longer than 1 MiB") }));
        assert_eq!(splitter.next(true).map(|record| record.content), Some(Ok(b"next,row".to_vec())));
        assert_eq!(splitter.next(true), None);
    }

    #[test]
    fn reading_can_begin_again_behind_any_record() {
        let text = b"a,b\n\"x\ny\",z\nc,d\n";
        let mut splitter = Splitter::new(b',', 0);
        splitter.push(text);
        let mut ends = Vec::new();
        while let Some(record) = splitter.next(true) {
            ends.push(record.end);
        }
        let mut again = Splitter::new(b',', ends[1]);
        again.push(&text[usize::try_from(ends[1]).expect("small")..]);
        assert_eq!(again.next(true), Some(Record { end: ends[2], content: Ok(b"c,d".to_vec()) }));
    }

    #[test]
    fn both_encodings_are_told_apart_and_read() {
        let gb = GB18030.encode("姓名,手机号\n王伟,138").0.into_owned();
        assert_eq!(Encoding::detect(&gb), Ok(Encoding::Gb18030));
        assert_eq!(Encoding::detect("姓名,手机号".as_bytes()), Ok(Encoding::Utf8));
        assert_eq!(Encoding::detect(&"姓名".as_bytes()[..5]), Ok(Encoding::Utf8), "cut inside a character");
        assert!(Encoding::detect(b"\xFF\xFEa\0").is_err());
        assert_eq!(cells(&gb[..11], b',', Encoding::Gb18030), Ok(vec!["姓名".to_owned(), "手机号".to_owned()]));
        assert!(cells(b"\xFF,a", b',', Encoding::Utf8).is_err());
    }

    #[test]
    fn a_written_line_reads_back_and_runs_no_formula() {
        let row = ["a,b", "say \"x\"", " y ", "+8613812345678"];
        assert_eq!(cells(line(row).trim_end().as_bytes(), b',', Encoding::Utf8), Ok(row.map(str::to_owned).to_vec()));
        assert_eq!(line(["=cmd()"]), "\"'=cmd()\"\r\n");
    }
}
