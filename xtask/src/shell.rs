//! Running other programs in the repository's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Runs a command without input, its output shown, and says whether it succeeded.
pub fn succeeds(words: &[&str], environment: &[(&str, &str)]) -> bool {
    println!("$ {}", words.join(" "));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).envs(environment.iter().copied()).current_dir(root()).stdin(Stdio::null());
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            println!("{} does not start: {error}", words[0]);
            false
        }
    }
}

/// What a command writes to its standard output, or why it failed.
pub fn output(words: &[&str]) -> Result<String, String> {
    let made = Command::new(words[0]).args(&words[1..]).current_dir(root()).stdin(Stdio::null()).output();
    let made = made.map_err(|error| format!("{} does not start: {error}", words[0]))?;
    if made.status.success() {
        return Ok(String::from_utf8_lossy(&made.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&made.stderr);
    Err(format!("{}: {}", words.join(" "), reason.lines().next().unwrap_or("failed without a word")))
}

/// What a command that succeeds writes to its standard error, or why it failed.
pub fn errors(words: &[&str]) -> Result<String, String> {
    let made = Command::new(words[0]).args(&words[1..]).current_dir(root()).stdin(Stdio::null()).output();
    let made = made.map_err(|error| format!("{} does not start: {error}", words[0]))?;
    let text = String::from_utf8_lossy(&made.stderr).into_owned();
    if made.status.success() { Ok(text) } else { Err(format!("{}: {text}", words[0])) }
}

/// Runs a command without input: whether it succeeded, and all that it wrote.
pub fn collected(words: &[&str]) -> (bool, String) {
    match Command::new(words[0]).args(&words[1..]).current_dir(root()).stdin(Stdio::null()).output() {
        Ok(made) => {
            let said = [made.stdout, made.stderr].concat();
            (made.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, format!("{} does not start: {error}", words[0])),
    }
}
