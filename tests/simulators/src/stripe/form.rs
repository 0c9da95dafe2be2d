//! Forms with brackets: `metadata[order]=1`, `expand[]=x`, `line_items[0][quantity]=1`.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::errors::ApiError;

const MAX_METADATA: usize = 50;
const MAX_METADATA_KEY: usize = 40;
const MAX_METADATA_VALUE: usize = 500;

/// Fields of a form in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Returns the sorted fields, so that requests can be compared.
    pub(super) fn sorted(mut self) -> Vec<(String, String)> {
        self.0.sort();
        self.0
    }

    /// Returns a field's text. An empty text unsets the field, so it counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().filter(|(field, _)| field == name);
        let value = fields.next().map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(ToOwned::to_owned)
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, ApiError> {
        if self
            .0
            .iter()
            .any(|(field, value)| field == name && value.is_empty())
        {
            let message = format!(
                "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value."
            );
            return Err(ApiError::invalid(
                Some("parameter_invalid_empty"),
                name,
                message,
            ));
        }
        self.get(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let invalid = |text: &str| {
            let message = format!("Invalid integer: {text}");
            ApiError::invalid(Some("parameter_invalid_integer"), name, message)
        };
        self.get(name)
            .map(|text| text.parse().map_err(|_| invalid(text)))
            .transpose()
    }

    pub(super) fn truth(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(ApiError::invalid(
                None,
                name,
                format!("Invalid boolean: {other}"),
            )),
        }
    }

    /// Returns a field's value, which must be one of `words`.
    pub(super) fn word(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|word| **word == text);
        found.copied().map(Some).ok_or_else(|| {
            let message = format!("Invalid {name}: must be one of {}", words.join(", "));
            ApiError::invalid(None, name, message)
        })
    }

    /// Returns the texts of a list, with or without indexes.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let fields = self.0.iter().filter(|(field, _)| {
            let inside = field.strip_prefix(name).and_then(inside);
            inside.is_some_and(|(_, rest)| rest.is_empty())
        });
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the prefixes of a list's elements: `line_items[0]`, `line_items[1]`.
    pub(super) fn elements(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (field, _) in &self.0 {
            if let Some((index, _)) = field.strip_prefix(name).and_then(inside) {
                let element = format!("{name}[{index}]");
                if !found.contains(&element) {
                    found.push(element);
                }
            }
        }
        found
    }

    /// Returns true if the field, or any field within its brackets, exists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| {
            field
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        })
    }

    /// Returns the metadata and checks Stripe's limits.
    pub(super) fn metadata(&self, name: &str) -> Result<Map<String, Value>, ApiError> {
        let refused = |message: String| ApiError::invalid(None, name, message);
        let mut map = Map::new();
        for (field, value) in &self.0 {
            let Some((key, _)) = field.strip_prefix(name).and_then(inside) else {
                continue;
            };
            if key.chars().count() > MAX_METADATA_KEY {
                return Err(refused(format!(
                    "Metadata keys can have up to {MAX_METADATA_KEY} characters; you passed in a key that is {}.",
                    key.chars().count()
                )));
            }
            if value.chars().count() > MAX_METADATA_VALUE {
                return Err(refused(format!(
                    "Metadata values can have up to {MAX_METADATA_VALUE} characters, but you passed in a value that is {} characters.",
                    value.chars().count()
                )));
            }
            map.insert(key.to_owned(), value.clone().into());
        }
        if map.len() > MAX_METADATA {
            return Err(refused(format!(
                "Metadata can have up to {MAX_METADATA} keys; you passed in {}.",
                map.len()
            )));
        }
        Ok(map)
    }

    /// Refuses unknown parameters. In `known`, `[]` matches any index and `[*]` any name.
    pub(super) fn only(&self, known: &[&[&str]]) -> Result<(), ApiError> {
        for (field, _) in &self.0 {
            let mut patterns = known.iter().flat_map(|group| group.iter());
            if !patterns.any(|pattern| is_of(field, pattern)) {
                return Err(ApiError::unknown(field));
            }
        }
        Ok(())
    }
}

/// Returns the content of a field's next brackets, and the rest.
fn inside(field: &str) -> Option<(&str, &str)> {
    field.strip_prefix('[')?.split_once(']')
}

fn is_of(field: &str, pattern: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('[')
            .map(|part| part.trim_end_matches(']').to_owned())
            .collect()
    };
    let (field, pattern) = (parts(field), parts(pattern));
    field.len() == pattern.len()
        && field
            .iter()
            .zip(&pattern)
            .all(|(part, wanted)| match wanted.as_str() {
                "*" => true,
                "" => part.chars().all(|letter| letter.is_ascii_digit()),
                wanted => part == wanted,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_at_every_depth() {
        let known: &[&[&str]] = &[
            &["amount", "metadata[*]"],
            &["items[][price][amount]", "types[]"],
        ];
        let read = |text: &str| Form::read(text.as_bytes()).only(known);
        assert!(
            read("amount=1&metadata[a]=b&items[0][price][amount]=1&types[]=a&types[1]=b").is_ok()
        );
        for unknown in [
            "amounts=1",
            "items[0][price][sum]=1",
            "items[a][price][amount]=1",
            "amount[a]=1",
            "types=a",
        ] {
            let wrong = read(unknown).unwrap_err();
            let name = unknown.split('=').next().unwrap();
            assert_eq!(
                wrong.message(),
                format!("Received unknown parameter: {name}")
            );
        }
    }
}
