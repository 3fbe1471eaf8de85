//! Just enough reading of Rust text to see which names it uses: comments, literals and tests told apart from the rest.

/// What a character belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Code,
    Comment,
    Literal,
}

/// A word, `::`, or one other character of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path of code, such as `std::fs::read`; those of a grouped `use` are told one by one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// Whether it stands in a `use`.
    pub(crate) imported: bool,
}

impl UsedPath {
    /// Whether these segments stand in the path, one behind the other.
    pub(crate) fn holds(&self, segments: &[&str]) -> bool {
        self.segments.windows(segments.len()).any(|window| window == segments)
    }

    /// Whether the path begins with these segments.
    pub(crate) fn begins_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len() && self.segments[..segments.len()] == *segments
    }
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|character: char| character.is_alphanumeric() || character == '_')
    }
}

/// Says of every character what it belongs to.
pub(crate) fn classify(text: &str) -> Vec<(char, Part)> {
    let characters: Vec<char> = text.chars().collect();
    let mut parts = Vec::with_capacity(characters.len());
    while parts.len() < characters.len() {
        let (length, part) = next_stretch(&characters, parts.len());
        let end = (parts.len() + length).min(characters.len());
        parts.extend(characters[parts.len()..end].iter().map(|&character| (character, part)));
    }
    parts
}

fn next_stretch(characters: &[char], at: usize) -> (usize, Part) {
    let rest = &characters[at..];
    let follows_word = at > 0 && is_word_character(characters[at - 1]);
    match rest {
        ['/', '/', ..] => (rest.iter().take_while(|&&character| character != '\n').count(), Part::Comment),
        ['/', '*', ..] => (block_comment(rest), Part::Comment),
        ['"', ..] => (quoted(rest, '"'), Part::Literal),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => (quoted(rest, '\''), Part::Literal),
        ['r' | 'b' | 'c', ..] if !follows_word => {
            raw_string(rest).map_or((1, Part::Code), |length| (length, Part::Literal))
        }
        _ => (1, Part::Code),
    }
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `r"..."`, `br#"..."#` and their like; none where no such literal begins.
fn raw_string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|character| ['r', 'b', 'c'].contains(character)).count();
    let hashes = rest[prefix..].iter().take_while(|&&character| character == '#').count();
    let opening = prefix + hashes;
    if rest[prefix - 1] != 'r' || prefix > 2 || rest.get(opening) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let inside = &rest[opening + 1..];
    let length = inside.windows(closing.len()).position(|window| window == closing).unwrap_or(inside.len());
    Some(opening + 1 + length + closing.len())
}

/// The tokens of the code, without comments and literals.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut line, mut before) = (1, ' ');
    for (character, part) in classify(text) {
        let character = if part == Part::Code || character == '\n' { character } else { ' ' };
        let continues = is_word_character(character) && is_word_character(before)
            || character == ':' && before == ':' && tokens.last().is_some_and(|token| token.text == ":");
        match tokens.last_mut().filter(|_| continues) {
            Some(token) => token.text.push(character),
            None if !character.is_whitespace() => tokens.push(Token { text: character.into(), line }),
            None => {}
        }
        line += usize::from(character == '\n');
        before = character;
    }
    tokens
}

/// Takes away every item under `#[cfg(test)]`; gives the names of the module files that stand under it, too.
pub(crate) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !begins_with(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let begin = at + 7;
        at = begin + item_length(&tokens[begin..]);
        let name = tokens[begin..at].windows(3).find(|three| three[0].text == "mod" && three[2].text == ";");
        modules.extend(name.map(|three| three[1].text.clone()));
    }
    (kept, modules)
}

fn begins_with(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

/// Tokens of the item that comes next, with its attributes: to its `;` or the end of its `{...}`.
fn item_length(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && [";", "}"].contains(&token.text.as_str()) {
            return index + 1;
        }
    }
    tokens.len()
}

/// Every path that the tokens use.
pub(crate) fn paths(tokens: &[Token]) -> Vec<UsedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at += 1;
            use_tree(tokens, &mut at, &[], &mut paths);
        } else if begins_path(tokens, at) {
            let line = tokens[at].line;
            let mut segments = vec![tokens[at].text.clone()];
            while at + 2 < tokens.len() && tokens[at + 1].text == "::" && tokens[at + 2].is_word() {
                at += 2;
                segments.push(tokens[at].text.clone());
            }
            paths.push(UsedPath { segments, line, imported: false });
            at += 1;
        } else {
            at += 1;
        }
    }
    paths
}

fn begins_path(tokens: &[Token], at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps).map(|index| &tokens[index]);
    let goes_on = match before(1).map(|token| token.text.as_str()) {
        Some("::") => before(2).is_some_and(|token| token.is_word() || token.text == ">"),
        Some(".") => true,
        _ => false,
    };
    tokens[at].is_word() && !goes_on
}

fn use_tree(tokens: &[Token], at: &mut usize, prefix: &[String], paths: &mut Vec<UsedPath>) {
    let mut segments = prefix.to_vec();
    while let Some(token) = tokens.get(*at) {
        match token.text.as_str() {
            "::" => *at += 1,
            "{" => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token.text != "}") {
                    let begin = *at;
                    use_tree(tokens, at, &segments, paths);
                    let comma = tokens.get(*at).is_some_and(|token| token.text == ",");
                    *at += usize::from(comma || *at == begin);
                }
                *at += 1;
                return;
            }
            text if token.is_word() || text == "*" => {
                segments.push(text.to_owned());
                *at += 1;
                if tokens.get(*at).is_some_and(|token| token.text == "::") {
                    continue;
                }
                if tokens.get(*at).is_some_and(|token| token.text == "as") {
                    *at += 2;
                }
                paths.push(UsedPath { segments, line: token.line, imported: true });
                return;
            }
            _ => return,
        }
    }
}
