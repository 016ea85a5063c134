//! The list of what is allowed although a check speaks against it: `tidy-allow.txt`, one entry a line, each with its
//! reason. An entry that nothing needs any more is itself a problem.

use super::Problem;

/// One line of the list: `check path[:item]  # reason`. A path that ends in `/` stands for a folder.
struct Entry<'a> {
    check: &'a str,
    path: &'a str,
    item: Option<&'a str>,
    line: usize,
}

impl Entry<'_> {
    fn covers(&self, problem: &Problem) -> bool {
        let folder = self.path.ends_with('/') && problem.path.starts_with(self.path);
        self.check == problem.check
            && (folder || self.path == problem.path)
            && self.item.is_none_or(|item| item == problem.item)
    }
}

fn entry(line: &str, number: usize) -> Option<Entry<'_>> {
    let (entry, reason) = line.split_once('#')?;
    let (check, place) = entry.trim().split_once(' ')?;
    let (path, item) = place.trim().split_once(':').map_or((place.trim(), None), |(p, i)| (p, Some(i)));
    (reason.trim().contains(' ')).then_some(Entry { check, path, item, line: number })
}

/// The problems that the list does not cover, and those of the list.
pub fn apply(list: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept = Vec::new();
    let mut entries = Vec::new();
    for (i, line) in list.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
        match entry(line, i + 1) {
            Some(entry) => entries.push(entry),
            None => kept.push(Problem::list(i + 1, "not of the form `check path[:item] # reason in words`")),
        }
    }
    for stale in entries.iter().filter(|e| !problems.iter().any(|p| e.covers(p))) {
        kept.push(Problem::list(stale.line, "nothing needs this entry"));
    }
    kept.extend(problems.into_iter().filter(|p| !entries.iter().any(|e| e.covers(p))));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(path: &str, item: &str) -> Problem {
        Problem { check: "function", path: path.into(), line: 1, item: item.into(), text: "too long".into() }
    }

    #[test]
    fn entries_cover_what_they_name() {
        let list =
            "# comment\nfunction crates/a.rs:run # one arm per kernel\nfunction crates/b/ # tables only\n";
        let problems = || vec![long("crates/a.rs", "run"), long("crates/b/c.rs", "f")];
        assert_eq!(apply(list, problems()).len(), 0);
        assert_eq!(apply(list, [problems(), vec![long("crates/a.rs", "walk")]].concat()).len(), 1);
        assert_eq!(apply(list, vec![long("crates/a.rs", "run")]).len(), 1, "a stale entry");
    }

    #[test]
    fn entries_need_a_reason() {
        let problems = || vec![long("crates/a.rs", "run")];
        assert_eq!(apply("function crates/a.rs:run\n", problems()).len(), 2);
        assert_eq!(apply("function crates/a.rs:run # yes\n", problems()).len(), 2);
    }
}
