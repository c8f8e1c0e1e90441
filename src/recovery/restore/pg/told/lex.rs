//! Words, names, texts and numbers of the statements that pg_dump writes about a database.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Not quoted, in lower case.
    Word(String),
    /// `"…"`.
    Name(String),
    /// `'…'`, taken out of its quotes.
    Text(String),
    Number(String),
    Symbol(char),
}

/// What is left of a statement.
pub struct Cursor<'a>(pub &'a [Token]);

impl<'a> Cursor<'a> {
    pub fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub fn word(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(word) => Some(word.clone()),
            _ => None,
        }
    }

    pub fn name(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(name) | Token::Name(name) => Some(name.clone()),
            _ => None,
        }
    }

    pub fn accept(&mut self, word: &str) -> bool {
        let is = matches!(self.0.first(), Some(Token::Word(w)) if w == word);
        if is {
            let _ = self.next();
        }
        is
    }

    pub fn expect(&mut self, words: &[&str]) -> Option<()> {
        words.iter().all(|word| self.accept(word)).then_some(())
    }

    pub fn symbol(&mut self, symbol: char) -> bool {
        let is = self.0.first() == Some(&Token::Symbol(symbol));
        if is {
            let _ = self.next();
        }
        is
    }

    pub fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The statements in a text, with where each begins and ends. `None` where something stands in it that pg_dump does not
/// write about a database.
pub fn statements(sql: &str) -> Option<Vec<(Vec<Token>, Range<usize>)>> {
    let mut found = Vec::new();
    let (mut one, mut begin) = (Vec::new(), 0);
    let mut chars = sql.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            ';' => {
                found.push((std::mem::take(&mut one), begin..at));
                begin = at + 1;
                continue;
            }
            '\'' => Token::Text(quoted(&mut chars, '\'', false)?),
            '"' => Token::Name(quoted(&mut chars, '"', false)?),
            'e' | 'E' if chars.peek().is_some_and(|(_, c)| *c == '\'') => {
                chars.next();
                Token::Text(quoted(&mut chars, '\'', true)?)
            }
            ',' | '=' | '.' => Token::Symbol(c),
            c if c == '-' || c.is_ascii_digit() => {
                let mut number = c.to_string();
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_ascii_digit() || *c == '.') {
                    number.push(c);
                }
                // A lone sign, or the beginning of a comment.
                number.bytes().any(|b| b.is_ascii_digit()).then_some(Token::Number(number))?
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = c.to_string();
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_' || *c == '$') {
                    word.push(c);
                }
                Token::Word(word.to_ascii_lowercase())
            }
            _ => return None,
        };
        one.push(token);
    }
    found.push((one, begin..sql.len()));
    Some(found)
}

/// The rest of a quotation; with `escapes` a backslash takes the next one as it is.
fn quoted(chars: &mut Peekable<CharIndices<'_>>, quote: char, escapes: bool) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()?.1 {
            c if c == quote && chars.next_if(|(_, c)| *c == quote).is_none() => return Some(text),
            // What pg_dump escapes is the backslash; others (`\n`, `\x41`) it does not write.
            '\\' if escapes => text.push(chars.next_if(|(_, c)| *c == '\\' || *c == '\'')?.1),
            c => text.push(c),
        }
    }
}
