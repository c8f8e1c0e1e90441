//! Words to be said aloud: two people who look at the same digest hear the same four words.
//!
//! 256 short plain English words, no two of which look or sound much alike, so that they survive a bad telephone line.

/// Position of a word is the byte that it stands for.
#[rustfmt::skip]
const WORDS: [&str; 256] = [
    "acorn", "almond", "amber", "anchor", "angle", "animal", "apron", "attic", "autumn", "badge", "bakery", "balloon",
    "bamboo", "banana", "banjo", "barrel", "basket", "beach", "beaver", "berry", "bicycle", "bishop", "blossom",
    "bluebird", "bonfire", "border", "bottle", "bread", "breeze", "broccoli", "brother", "buffalo", "bulldog",
    "bundle", "butter", "cabbage", "cabin", "cactus", "camel", "canyon", "captain", "caravan", "carpet", "cashew",
    "castle", "cedar", "cement", "cereal", "chalk", "chess", "chicken", "chimney", "cinema", "circus", "clover",
    "cobweb", "coconut", "coffee", "collar", "compass", "cookie", "copper", "cotton", "cousin", "cowboy", "cradle",
    "crater", "crown", "crystal", "cushion", "daffodil", "dagger", "daisy", "daybreak", "denim", "dentist", "desert",
    "diamond", "dinner", "doctor", "dolphin", "domino", "donkey", "dragon", "drizzle", "drummer", "duckling",
    "dynamo", "eclipse", "elbow", "elephant", "elevator", "emerald", "engine", "envelope", "evening", "fabric",
    "falcon", "farmer", "feather", "fender", "festival", "fiddle", "fisher", "fjord", "flamingo", "flannel", "flute",
    "forest", "fossil", "fountain", "foxglove", "freckle", "furnace", "galaxy", "garden", "garlic", "gazelle",
    "giraffe", "glacier", "goblet", "gorilla", "granite", "grape", "guitar", "gumdrop", "hammock", "hamster",
    "harbor", "harvest", "hedgehog", "helmet", "hickory", "highway", "horizon", "hotel", "husband", "iceberg",
    "igloo", "indigo", "inkwell", "insect", "island", "ivory", "jaguar", "jasmine", "jelly", "jigsaw", "journey",
    "kayak", "kernel", "keyboard", "kitchen", "ladder", "lagoon", "lantern", "lemon", "leopard", "library", "lizard",
    "lobster", "locket", "magnet", "maple", "meadow", "mirror", "mitten", "morning", "mosaic", "muffin", "museum",
    "mustard", "napkin", "needle", "nephew", "nickel", "nutmeg", "oasis", "ocean", "octopus", "olive", "onion",
    "orange", "orbit", "orchard", "oxygen", "palace", "panther", "paper", "parrot", "pebble", "pelican", "pencil",
    "penguin", "piano", "pickle", "picnic", "pigeon", "pillow", "pioneer", "pirate", "planet", "plaster", "poncho",
    "popcorn", "potato", "prairie", "pumpkin", "puppet", "puzzle", "pyramid", "quarry", "quilt", "rabbit", "raccoon",
    "radish", "raven", "ribbon", "ruby", "sailor", "sandal", "saucer", "scarf", "school", "silver", "skate", "sofa",
    "spider", "spinach", "sponge", "squirrel", "stocking", "sunset", "swallow", "teapot", "temple", "thunder",
    "tiger", "toast", "tractor", "trumpet", "tulip", "tunnel", "turkey", "turtle", "umbrella", "valley", "vanilla",
    "village", "violin", "volcano", "waffle", "walnut", "window", "yogurt", "zebra",
];

/// The four words of a digest in hex, from its first four bytes. Empty when it does not begin with as many.
pub fn four_words(digest: &str) -> String {
    let byte = |n: usize| {
        let at = digest.get(n * 2..n * 2 + 2)?;
        usize::from_str_radix(at, 16).ok()
    };
    let words: Option<Vec<&str>> = (0..4).map(|n| WORDS.get(byte(n)?).copied()).collect();
    words.map(|w| w.join(" ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters that have to change to make one of the other.
    fn distance(a: &str, b: &str) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.bytes().enumerate() {
            let mut next = vec![i + 1];
            for (j, y) in b.bytes().enumerate() {
                next.push((row[j + 1] + 1).min(next[j] + 1).min(row[j] + usize::from(x != y)));
            }
            row = next;
        }
        row[b.len()]
    }

    #[test]
    fn words_are_plain_and_far_from_each_other() {
        for (n, word) in WORDS.iter().enumerate() {
            assert!((4..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
            for other in WORDS.iter().skip(n + 1) {
                assert!(distance(word, other) >= 3 && word[..4] != other[..4], "{word} and {other}");
            }
        }
    }

    #[test]
    fn each_byte_of_the_digest_has_its_word() {
        let said = four_words("00ff01fe9999");
        assert_eq!(said, format!("{} {} {} {}", WORDS[0], WORDS[255], WORDS[1], WORDS[254]));
        assert_ne!(four_words("00ff01fd"), said);
        // What is no digest has none, and never half of them.
        for no in ["", "00ff01", "00ff01f", "00ff01fz", "ä0ff01fe"] {
            assert_eq!(four_words(no), "");
        }
    }
}
