//! Files that are there whole or not at all: written under a temporary name in the same folder, then renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use voxplain_tensor::{Error, Result};

/// Writes a file by `write`. If anything fails (a full disk, an error of `write`), the temporary file is removed and
/// what was there before stays.
///
/// # Errors
/// The folder cannot be written to, or `write` failed; the message names the file.
///
/// ```no_run
/// use voxplain_imaging::atomic_write;
/// atomic_write("out/scores.csv".as_ref(), |out| Ok(out.write_all(b"case,score\n")?))?;
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let temporary = temporary_name(path)?;
    let result = fill(&temporary, write).and_then(|()| Ok(fs::rename(&temporary, path)?));
    result.map_err(|e| {
        // The file may never have been made; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        e.within(path.display())
    })
}

/// Counts the files of this process, so that two threads never write under the same temporary name.
static COUNT: AtomicU64 = AtomicU64::new(0);

fn temporary_name(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::invalid(format!("{}: not a file name; give the name of a file to write", path.display()))
    })?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

fn fill(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_error_the_old_file_is_there_and_no_other() {
        let folder = std::env::temp_dir().join(format!("voxplain-atomic-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("map.bin");
        atomic_write(&path, |out| Ok(out.write_all(b"first")?)).unwrap();
        let failed = atomic_write(&path, |out| {
            out.write_all(b"second")?;
            Err(Error::limit("the disk is full"))
        });
        assert!(failed.unwrap_err().message().ends_with("map.bin: the disk is full"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn two_writers_of_one_name_do_not_share_a_temporary_file() {
        assert_ne!(temporary_name(Path::new("a")).unwrap(), temporary_name(Path::new("a")).unwrap());
        assert!(temporary_name(Path::new("..")).is_err());
    }
}
