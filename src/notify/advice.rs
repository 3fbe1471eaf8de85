//! What stands below every message of an incident: what Nilas does meanwhile, and what a person can do. By the kind of its key, the
//! word before the first colon.

/// What to say of a kind of incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Advice {
    /// What Nilas does until it is over.
    pub meanwhile: &'static str,
    /// What a person can do.
    pub remedy: &'static str,
}

const KNOWN: [(&str, Advice); 18] = [
    (
        "late",
        Advice {
            meanwhile: "Nilas keeps asking, and uses the file as soon as it is there. Where an older one may stand in, the product comes out as provisional and says how old it is; without concentration of the day there is none.",
            remedy: "See whether the provider has announced an outage, or has moved or renamed its files: `nilas check` shows the newest file in each place. Nothing has to be repeated by hand when the file comes.",
        },
    ),
    (
        "fetch",
        Advice {
            meanwhile: "Nilas uses another file where it may, says so in the product, and keeps asking for this one.",
            remedy: "If it lasts longer than a few hours, run `nilas check` and look at the address with a browser.",
        },
    ),
    (
        "server",
        Advice {
            meanwhile: "Nilas keeps asking, with pauses, and asks the other configured places first where there are any.",
            remedy: "Run `nilas check` on this machine. If other servers answer, it is the provider's; if none does, it is the network, the proxy or the name service here.",
        },
    ),
    (
        "product",
        Advice {
            meanwhile: "Nilas goes on with the lesser product; the days come out as usual, with less detail in this input.",
            remedy: "See whether the provider has ended, moved or renamed the better product, and correct inputs.*.places or inputs.*.products in the configuration.",
        },
    ),
    (
        "names",
        Advice {
            meanwhile: "Nilas leaves files of these names alone and goes on with those that it knows.",
            remedy: "Read what the provider says of them. If one is to be taken, add its word to inputs.*.products in the configuration and reload Nilas (systemctl reload nilas). It is over some hours after no such name was seen any more.",
        },
    ),
    (
        "season",
        Advice {
            meanwhile: "Nilas waits quietly for the first file of the next season. Where winter (always_in_season) begins without one, it says that the file is late.",
            remedy: "Nothing.",
        },
    ),
    (
        "target",
        Advice {
            meanwhile: "Products are made and published here as usual. What this target has missed is carried to it as soon as it takes it, the newest first.",
            remedy: "Run `nilas check`: it asks every target. See whether the folder is mounted, the store has space, and its credentials are still good.",
        },
    ),
    (
        "refused",
        Advice {
            meanwhile: "The file is kept in the quarantine folder, where there is room, and its server is asked at every look whether it has another. Days that do not need it are made.",
            remedy: "Look at the file with `nilas inspect FILE`. If the provider says that it is right, widen the limit that is named in [checks] and reload Nilas (systemctl reload nilas).",
        },
    ),
    (
        "production",
        Advice {
            meanwhile: "The days are tried again, at intervals that grow from 10 minutes to 6 hours. Other days are made; what was published stays.",
            remedy: "The reason stands above; `nilas explain DAY` tells the whole story of a day, and `journalctl -u nilas` has the log of its runs.",
        },
    ),
    (
        "overdue",
        Advice {
            meanwhile: "Nilas looks again at every wake-up, and makes the newest day first when it can.",
            remedy: "Read the reason above. `nilas status` shows what else is open, `nilas check` what would fail and what every server has.",
        },
    ),
    (
        "space",
        Advice {
            meanwhile: "No production begins; it is tried again at every look.",
            remedy: "`nilas prune --dry-run` says what would be cleared away, `nilas prune` does it. [retention] says what is kept; else give the disk more space.",
        },
    ),
    (
        "degraded",
        Advice {
            meanwhile: "Days are made all the same, and their products say what is worse in them; drawn on the CPU they take longer.",
            remedy: "Where it was drawn on the CPU, look at the device: `nvidia-smi`, and the kernel's log. Where it was made without the uncertainty of the thickness, ask the provider why the file states none in metres. Where the words for what was interpolated are not known, tell us, with the file. Where the spread was not fitted for the sampler, leave [ensemble] sampler, steps, time_grid and lowest_noise_rate out, or fit it with `nilas model calibrate`. The next product that is as it should be ends this.",
        },
    ),
    (
        "held",
        Advice {
            meanwhile: "Nothing is gathered or produced. What was published stays.",
            remedy: "When the reason is gone: `nilas resume`.",
        },
    ),
    (
        "ledger",
        Advice {
            meanwhile: "Nilas tries again every minute while the ledger cannot be written, and produces nothing until then. A damaged one it keeps under another name, and goes on with the newest copy. What was published stays.",
            remedy: "Look at the disk of the state folder: space (`df`), the kernel's log (`journalctl -k`). After a damage, repeat `nilas hold` and `nilas backfill` where they were in force.",
        },
    ),
    (
        "missing",
        Advice {
            meanwhile: "Where some products are gone, Nilas goes on, and takes them for cleared away until they are there again. Where all are gone, it takes the disk for away, and produces nothing until it is back.",
            remedy: "See whether the disk of folders.products is mounted, and who removed what. `nilas backfill DAY --again` makes a day again, from the inputs that the servers still have.",
        },
    ),
    (
        "configuration",
        Advice {
            meanwhile: "Nilas goes on with the configuration that it had.",
            remedy: "Correct what is named above, and reload again (systemctl reload nilas). A restart would fail until then.",
        },
    ),
    (
        "backfill",
        Advice {
            meanwhile: "The days that are looked after are made as usual; what was asked for stays asked for, and is tried again.",
            remedy: "Read the reason above, see to it, and run `nilas check`.",
        },
    ),
    (
        "house",
        Advice {
            meanwhile: "Nilas tries again at its next look. What was published stays.",
            remedy: "Read the reason above, see to it, and run `nilas check`.",
        },
    ),
];

const OTHER: Advice = Advice {
    meanwhile: "Nilas goes on with whatever does not depend on this, and tries again by itself.",
    remedy: "`nilas status` says what is open, `journalctl -u nilas --since today` what has happened. What was published stays as it is.",
};

/// What to say of an incident with this key.
#[must_use]
pub fn of(key: &str) -> Advice {
    let kind = key.split(':').next().unwrap_or(key);
    KNOWN.iter().find(|(known, _)| *known == kind).map_or(OTHER, |(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_first_word() {
        assert!(of("late:drift").meanwhile.contains("keeps asking"));
        assert!(of("season:thickness").remedy.contains("Nothing"));
        assert!(of("names:concentration").remedy.contains("inputs.*.products"));
        for word in ["CPU", "nvidia-smi", "uncertainty of the thickness", "provider"] {
            assert!(
                of("degraded").remedy.contains(word),
                "{word}: a product is degraded for more than one reason"
            );
        }
        assert_eq!(of("later:drift"), OTHER);
        assert_eq!(of(""), OTHER);
    }
}
