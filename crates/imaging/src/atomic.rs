//! Files that are there whole or not at all: written under a temporary name in the same folder, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use voxplain_tensor::{Error, Result};

/// Writes a file by `write`. If anything fails (a full disk, an error of `write`), the temporary file is removed and
/// what was there before stays.
///
/// # Errors
/// The folder cannot be written to, or `write` failed; the message names the file.
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(path)?;
    let result = fill(&temporary, write).and_then(|()| Ok(fs::rename(&temporary, path)?));
    result.map_err(|e| {
        // The file may never have been made; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        e.within(path.display())
    })
}

fn temporary_name(path: &Path) -> Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| Error::invalid(format!("{}: not a file name", path.display())))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn fill(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(())
}
