//! Patterns of single names.

const STAR: u16 = b'*' as u16;
const QUESTION: u16 = b'?' as u16;

/// Whether a name is a pattern and stands for more than itself.
pub fn is_glob(name: &[u16]) -> bool {
    name.contains(&STAR) || name.contains(&QUESTION)
}

/// Whether `name` fits `glob`, where `*` stands for any number of units and `?` for one. Both are folded already.
pub fn fits(glob: &[u16], name: &[u16]) -> bool {
    let (mut at_glob, mut at_name) = (0, 0);
    // Where the last star stands, and up to where it has taken units: it takes one more whenever what follows does not fit.
    let mut star = None;
    while at_name < name.len() {
        match glob.get(at_glob) {
            Some(&STAR) => {
                star = Some((at_glob, at_name));
                at_glob += 1;
            }
            Some(&unit) if unit == QUESTION || unit == name[at_name] => {
                at_glob += 1;
                at_name += 1;
            }
            _ => match &mut star {
                Some((at_star, taken)) => {
                    *taken += 1;
                    at_name = *taken;
                    at_glob = *at_star + 1;
                }
                None => return false,
            },
        }
    }
    glob[at_glob..].iter().all(|unit| *unit == STAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_as_much_as_is_needed() {
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        for (glob, name, expected) in [
            ("*", "", true),
            ("*", "a.b", true),
            ("?", "", false),
            ("*.LOG", "A.LOG.LOG", true),
            ("*.LOG", "A.LOGS", false),
            ("A*B*C", "AXXBYYBC", true),
            ("A*B*C", "AXXBYYBCD", false),
            ("???", "AB", false),
            ("A?", "AB", true),
        ] {
            assert_eq!(fits(&units(glob), &units(name)), expected, "{glob} {name}");
        }
    }
}
