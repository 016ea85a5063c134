//! A free batch makes sizes into expressions. Plans multiply the leading axis of one example, so every symbol is 1 and
//! an expression is a number.

use serde_json::Value;
use std::collections::HashMap;
use voxplain_tensor::{Error, Result};

/// Longer and deeper expressions are not about a batch.
const MOST_BYTES: usize = 1024;
const MOST_DEPTH: usize = 16;

/// The whole numbers that nodes of the graph compute from sizes, by name.
pub(super) fn read(graph: &Value) -> HashMap<String, i64> {
    let all = graph.get("sym_int_values").and_then(Value::as_object);
    let value = |v: &Value| match v.pointer("/as_expr/expr_str").and_then(Value::as_str) {
        Some(expression) => of_one_example(expression),
        None => v.get("as_int").and_then(Value::as_i64),
    };
    all.into_iter().flatten().filter_map(|(name, v)| Some((name.clone(), value(v)?))).collect()
}

/// A whole-number argument that may be a name.
pub(super) fn argument(value: &Value, symbols: &HashMap<String, i64>) -> Result<i64> {
    if let Some(number) = value.get("as_int").and_then(Value::as_i64) {
        return Ok(number);
    }
    let name = value.get("as_name").and_then(Value::as_str).unwrap_or("");
    symbols.get(name).copied().ok_or_else(|| {
        Error::unsupported(format!(
            "size {name:?} cannot be computed; export with fixed spatial sizes and a batch of 1"
        ))
    })
}

/// The value of a size where the batch is 1: sums, products and whole quotients of symbols and numbers.
pub(super) fn of_one_example(expression: &str) -> Option<i64> {
    if expression.len() > MOST_BYTES {
        return None;
    }
    let mut parser = Parser { rest: expression.trim_start() };
    let value = parser.sum(0)?;
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.map_or(self.rest, str::trim_start);
        found.is_some()
    }

    fn sum(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.product(depth)?;
        loop {
            if self.take("+") {
                value = value.checked_add(self.product(depth)?)?;
            } else if self.take("-") {
                value = value.checked_sub(self.product(depth)?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.factor(depth)?;
        loop {
            if self.take("//") {
                value = value.checked_div_euclid(self.factor(depth)?)?;
            } else if self.take("*") {
                value = value.checked_mul(self.factor(depth)?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self, depth: usize) -> Option<i64> {
        if depth > MOST_DEPTH {
            return None;
        }
        if self.take("(") {
            let value = self.sum(depth + 1)?;
            return self.take(")").then_some(value);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if self.take("(") {
            return self.call(word, depth + 1);
        }
        match word.starts_with(|c: char| c.is_ascii_digit()) {
            true => word.parse().ok(),
            false => (!word.is_empty()).then_some(1),
        }
    }

    /// `Symbol('s0', integer=True)`, `Mul(Integer(4), ..)`: expressions as SymPy writes them for programs.
    fn call(&mut self, word: &str, depth: usize) -> Option<i64> {
        if word == "Symbol" {
            let end = self.rest.find(')')?;
            self.rest = self.rest[end + 1..].trim_start();
            return Some(1);
        }
        let mut value = self.signed(depth)?;
        while self.take(",") {
            let next = self.signed(depth)?;
            value = match word {
                "Add" => value.checked_add(next)?,
                "Mul" => value.checked_mul(next)?,
                "FloorDiv" => value.checked_div_euclid(next)?,
                _ => return None,
            };
        }
        (["Add", "Mul", "FloorDiv", "Integer"].contains(&word) && self.take(")")).then_some(value)
    }

    fn signed(&mut self, depth: usize) -> Option<i64> {
        if self.take("-") { self.factor(depth)?.checked_neg() } else { self.sum(depth) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_one_example() {
        for (text, expected) in [
            ("s77", Some(1)),
            ("4*s77", Some(4)),
            ("(s0 + 3)*2 - 1", Some(7)),
            ("((s0*12)//4)", Some(3)),
            ("Max(1, s0)", None),
            ("s0//0", None),
            ("9223372036854775807*2", None),
            ("", None),
            ("2*", None),
            ("Symbol('s77', positive=True, integer=True)", Some(1)),
            ("Mul(Integer(4), Symbol('s77', positive=True, integer=True))", Some(4)),
            ("Add(FloorDiv(Integer(9), Integer(2)), Integer(-1))", Some(3)),
            ("Pow(Integer(4), Integer(2))", None),
            ("Symbol('s77'", None),
            ("Mul(Integer(4), Integer(4)", None),
        ] {
            assert_eq!(of_one_example(text), expected, "{text}");
        }
        assert_eq!(of_one_example(&"(".repeat(200)), None);
        assert_eq!(of_one_example(&"1+".repeat(600)), None);
    }
}
