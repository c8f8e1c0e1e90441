//! The language in which the keys of a configuration are declared.
//!
//! Every key stands once, in `keys`: name, type, meaning, default. The reader accepts exactly these, the JSON Schema is
//! printed from them, and suggestions for mistyped keys come from them, so that the three cannot drift apart.

/// A table of the file.
pub struct Table {
    /// As it is written, for messages and for the schema's definitions: `[[service.http]]`.
    pub at: &'static str,
    pub doc: &'static str,
    /// Its keys; several lists, because checks share some.
    pub parts: &'static [&'static [Key]],
    /// Of these groups exactly one must be present. Empty: there is nothing to choose.
    pub choice: &'static [Choice],
}

/// One of several ways to fill a table.
pub struct Choice {
    /// At least one of these says that it was chosen.
    pub by: &'static [&'static str],
    /// These may stand beside, with this choice only.
    pub with: &'static [&'static str],
}

pub struct Key {
    pub name: &'static str,
    pub ty: Ty,
    pub doc: &'static str,
    pub required: bool,
    /// As it would be written; empty when there is none, or when it depends on something else.
    pub default: &'static str,
}

impl Key {
    pub const fn new(name: &'static str, ty: Ty, doc: &'static str) -> Self {
        Key { name, ty, doc, required: false, default: "" }
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = text;
        self
    }
}

impl Table {
    pub const fn new(at: &'static str, doc: &'static str, parts: &'static [&'static [Key]]) -> Self {
        Table { at, doc, parts, choice: &[] }
    }

    pub const fn choosing(mut self, choice: &'static [Choice]) -> Self {
        self.choice = choice;
        self
    }

    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|k| k.name == name)
    }
}

/// What a value must be.
pub enum Ty {
    Text(&'static Format),
    Word(&'static [&'static str]),
    Bool,
    Int(i64, i64),
    /// Lowest and highest, both included.
    Number(f64, f64),
    /// Bytes: a whole number or text with a unit; at least this many.
    Size(u64),
    /// Status codes: one, a list, or ranges.
    Status,
    /// Text, a number or a truth value.
    Scalar,
    /// An absolute path, or one relative to the folder of the configuration.
    Path,
    /// A path, or a table that says more.
    PathOr(&'static Table),
    /// `{ env | file | command }`, or text from a file that others cannot read.
    Secret,
    /// Text of a format, or a secret. `Exposed` says when the text itself counts as one.
    MaybeSecret(&'static Format, Exposed),
    /// A program and its arguments.
    Argv,
    List(&'static Ty),
    /// A list, or one value that stands for a list of one.
    OneOrMore(&'static Ty),
    /// Any names of a format, each with a value of the type.
    Map(&'static Format, &'static Ty),
    Table(&'static Table),
    /// Tables in a list. `single`: one table without the list is accepted too.
    Tables {
        table: &'static Table,
        single: bool,
    },
}

/// When plain text is itself a secret.
#[derive(Clone, Copy)]
pub enum Exposed {
    Always,
    When(fn(&str) -> bool),
    /// By the name it is given in a map: `Authorization`, `PGPASSWORD`.
    ByName,
}

/// A text with a form.
pub struct Format {
    /// With its article, for messages: `a duration`.
    pub what: &'static str,
    /// How it looks, for hints: `"10s", "5m" or "1h30m"`.
    pub example: &'static str,
    /// Regular expression (ECMA 262) for the schema; may accept more than `check` does.
    pub pattern: &'static str,
    /// `Err`: what is wrong, as the end of a sentence that begins with the key.
    pub check: fn(&str) -> Result<(), String>,
}
