//! The product as a process of its own: started with a file of settings, as an operator starts it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

/// What it logs when it serves.
const READY: &str = "ready";

/// Settings over those that ship: everything lies in a folder, the port is a free one, and the log is for programs.
pub fn settings(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "server.listen = \"127.0.0.1:0\"\nserver.drain_seconds_max = 2\ntelemetry.format = \"json\"\n\
         database.url = \"sqlite:{folder}/{{service}}.sqlite\"\nidentity.keys_folder = \"{folder}/keys\"\n"
    )
}

/// A file of settings that a process is started with.
pub struct Program {
    file: PathBuf,
}

impl Program {
    /// Writes the file into a folder.
    pub fn new(folder: &Path, settings: &str) -> Self {
        Self::named(folder, "revisit", settings)
    }

    /// The same under a name of its own.
    pub fn named(folder: &Path, name: &str, settings: &str) -> Self {
        let file = folder.join(name).with_extension("toml");
        fs::write(&file, settings).expect("the folder can be written to");
        Self { file }
    }

    /// Starts it with these words of a command line and these variables; both of its outputs are piped.
    pub fn start(&self, words: &[&str], variables: &[(&str, &str)]) -> Child {
        self.start_as("revisit", words, variables)
    }

    /// Starts the binary of that name.
    pub fn start_as(&self, name: &str, words: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_revisit"));
        command.arg0(name);
        command.arg("--config").arg(&self.file).args(words).envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }
}

/// What a process logs, line by line.
pub struct Log(BufReader<ChildStderr>);

impl Log {
    pub fn of(process: &mut Child) -> Self {
        Self(BufReader::new(process.stderr.take().expect("it is piped, and nobody else reads it")))
    }

    /// Reads until it says this, and answers the fields that it says with it; nothing when the process ends before.
    pub fn until(&mut self, message: &str) -> Option<serde_json::Value> {
        let lines = self.0.by_ref().lines().map_while(Result::ok);
        let mut fields =
            lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok()?.get("fields").cloned());
        fields.find(|fields| fields.get("message").is_some_and(|said| said == message))
    }

    /// Reads until the process serves; answers where. Nothing when it ends before.
    pub fn ready(&mut self) -> Option<SocketAddr> {
        self.until(READY)?.get("address")?.as_str()?.parse().ok()
    }

    /// Reads to its end: a full pipe would stop the process.
    pub fn drain(self) {
        self.0.lines().map_while(Result::ok).for_each(drop);
    }
}
