//! The little of a `Cargo.toml` that the checks look at, read line by line.

/// The names in the run-time and build dependencies, those of a target included; dev-dependencies do not count.
pub fn dependencies(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let (table, name) = table_of(section);
            inside = table && name.is_none();
            found.extend(name.filter(|_| table).map(String::from));
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            found.push(package_of(line));
        }
    }
    found
}

/// Whether a section lists dependencies, and which one where it is about one alone.
fn table_of(section: &str) -> (bool, Option<&str>) {
    let section = section.rsplit_once("'.").map_or(section, |(_, rest)| rest);
    let (table, name) = section.split_once('.').map_or((section, None), |(t, n)| (t, Some(n)));
    (matches!(table, "dependencies" | "build-dependencies"), name)
}

/// The package behind a dependency line, whatever it was renamed to.
fn package_of(line: &str) -> String {
    let renamed = line.split("package = \"").nth(1).and_then(|rest| rest.split('"').next());
    let key = line.split([' ', '=', '.']).next().unwrap_or("");
    String::from(renamed.unwrap_or(key))
}

/// The value of a string field.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value =
        |line: &'a str| line.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().strip_prefix('"');
    text.lines().find_map(value)?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_in_every_form() {
        let text = "[package]\nname = \"x\"\n[dependencies]\n# why\na.workspace = true\nb = \"1\"\n\
                    c = { package = \"d\" }\n[dev-dependencies]\ne = \"1\"\n[build-dependencies.f]\npath = \"g\"\n\
                    [target.'cfg(unix)'.dependencies]\nh = \"1\"\n[lints]\nworkspace = true\n";
        assert_eq!(dependencies(text), ["a", "b", "d", "f", "h"]);
    }

    #[test]
    fn fields_are_read() {
        assert_eq!(field("[package]\nname = \"x\"\n", "name"), Some("x"));
        assert_eq!(field("named = \"x\"\n", "name"), None);
    }
}
