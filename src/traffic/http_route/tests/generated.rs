//! Many generated routes: whatever is split, in whatever order, and whatever else the user changes meanwhile, in the end the
//! route is as the user wrote it.

use super::sticky::{by_cookie, by_header};
use super::*;

/// A small generator with a seed (splitmix64), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

fn backend(dice: &mut Dice, service: bool) -> Value {
    let mut out = json!({"name": if service { "m".to_owned() } else { format!("o{}", dice.roll(3)) }});
    out["port"] = (80 + dice.roll(2)).into();
    if dice.one_in(3) {
        out["namespace"] = "ml".into();
    }
    if dice.one_in(3) {
        (out["group"], out["kind"]) = ("".into(), "Service".into());
    }
    if !dice.one_in(3) {
        let most = [2, 10, 101, 50_000][dice.roll(4) as usize];
        out["weight"] = dice.roll(most).into();
    }
    if dice.one_in(4) {
        out["filters"] = json!([{"type": "RequestHeaderModifier", "n": dice.roll(2)}]);
    }
    out
}

fn rule(dice: &mut Dice, index: usize) -> Value {
    let names_service = index == 0 || !dice.one_in(4);
    let mut backends: Vec<Value> = (0..dice.roll(3)).map(|_| backend(dice, false)).collect();
    for _ in 0..if names_service { 1 + dice.roll(2) } else { 0 } {
        let at = dice.roll(backends.len() as u64 + 1) as usize;
        backends.insert(at, backend(dice, true));
    }
    if index == 0 {
        backends.push(json!({"name": "m", "port": 8080, "weight": 3}));
    }
    let mut out = json!({ "backendRefs": backends });
    if !dice.one_in(5) {
        // Twins happen.
        out["matches"] = json!([{"path": {"value": format!("/{}", dice.roll(12))}}]);
    }
    match dice.roll(5) {
        0 => out["filters"] = json!([]),
        1 => out["filters"] = json!([{"type": "URLRewrite", "n": dice.roll(3)}]),
        2 => {
            out["filters"] = json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "log", "port": 1}}}]);
        }
        _ => {}
    }
    if dice.one_in(3) {
        out["timeouts"] = json!({"request": "5s"});
    }
    out
}

/// A change that somebody makes of the rules for sessions only: the user's own are as they were.
fn meddle(dice: &mut Dice, live: &mut Value) {
    let kind = dice.roll(3);
    let rules = live["spec"]["rules"].as_array_mut().unwrap();
    let ours = |rule: &Value| rule.to_string().contains("(?:understudy-");
    let mine: Vec<usize> = (0..rules.len()).filter(|at| ours(&rules[*at])).collect();
    let [first, .., last] = mine[..] else { return };
    match kind {
        0 => drop(rules.remove([first, last][dice.roll(2) as usize])),
        1 => rules[first]["backendRefs"] = rules[last]["backendRefs"].clone(),
        _ => {
            let rule = rules.remove(last);
            rules.insert(0, rule);
        }
    }
}

/// A change by the user that has nothing to do with our backends and our filter, made on the live route and on what
/// is expected in the end.
fn change(dice: &mut Dice, both: [&mut Value; 2]) {
    let number = dice.roll(1_000);
    let kind = dice.roll(6);
    let count = rules(both[1]).len();
    let index = dice.roll(count as u64) as usize;
    let users = |object: &Value| {
        let mine = |(_, rule): &(usize, &Value)| !rule.to_string().contains("(?:understudy-");
        rules(object).iter().enumerate().filter(mine).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let like = |r: &Value| (r.get("matches").cloned(), filters::foreign(r, &NAMES));
    let alone =
        rules(both[1]).iter().filter(|r| like(r) == like(&both[1]["spec"]["rules"][index])).count() == 1;
    for object in both {
        let at = users(object)[index];
        let rule = &mut object["spec"]["rules"][at];
        match kind {
            0 => object["metadata"]["labels"] = json!({"n": number.to_string()}),
            1 => object["spec"]["hostnames"] = json!([format!("{number}.example")]),
            2 => rule["timeouts"] = json!({"request": format!("{number}s")}),
            3 => rule["name"] = format!("r{number}").into(),
            // A changed match is found again by what the rule leads to, if it has no twin.
            4 if alone => rule["matches"] = json!([{"path": {"value": format!("/changed/{number}")}}]),
            5 => {
                let new = json!({"matches": [{"path": {"value": format!("/new/{number}")}}],
                                 "backendRefs": [{"name": "m", "port": 80}]});
                object["spec"]["rules"].as_array_mut().unwrap().push(new);
            }
            _ => {}
        }
    }
}

/// What was written is read back, and nothing is left to write.
fn as_wanted(live: &Value, to: &Split<'_>, originals: &Originals, seed: u64) {
    let reading = read(live, &NAMES);
    assert_eq!((reading.candidate, reading.lowest), (to.candidate, to.candidate), "seed {seed}");
    assert_eq!(reading.mirror, to.mirror, "seed {seed}");
    assert_eq!(lowest_known(live, &NAMES, originals), Some(to.candidate), "seed {seed}");
    assert_eq!(reading.only_stable, (to.candidate, to.mirror) == (0, None), "seed {seed}");
    let sticks = to.sticky.is_some() && (1..100).contains(&to.candidate);
    assert_eq!(reading.sticky, sticks.then_some(to.candidate), "seed {seed}");
    assert_eq!(sessions(live, &NAMES, to, originals), Sessions::AsWanted, "seed {seed}");
    assert_eq!(share(live, &NAMES, false, true), to.candidate, "seed {seed}");
    assert_eq!(split(live, &NAMES, to, originals).unwrap(), None, "seed {seed}: not settled");
}

#[test]
fn any_splits_and_an_undo_give_back_what_the_user_wrote() {
    let (mut splits, mut refused, mut stuck) = (0, 0, 0);
    for seed in 0..600 {
        let mut dice = Dice(seed);
        let most = if dice.one_in(10) { 16 } else { 4 };
        let count = 1 + dice.roll(most) as usize;
        let mut expected = route((0..count).map(|i| rule(&mut dice, i)).collect());
        let mut live = expected.clone();
        let mut originals = Originals::default();
        for _ in 0..1 + dice.roll(5) {
            let sticky = [None, Some(by_header()), Some(by_cookie())][dice.roll(3) as usize];
            let to = Split {
                candidate: [0, 1, 5, 25, 50, 99, 100, dice.roll(101) as i32][dice.roll(8) as usize],
                mirror: dice.one_in(3).then_some([100, 30][dice.roll(2) as usize]),
                sticky,
            };
            let sticks = sticky.is_some() && (1..100).contains(&to.candidate);
            originals = remember(&live, &NAMES, Some(&originals));
            match split(&live, &NAMES, &to, &originals) {
                Ok(edit) => {
                    live = edit.map_or(live.clone(), |e| applied(&live, &e));
                    splits += 1;
                    as_wanted(&live, &to, &originals, seed);
                    stuck += usize::from(sticks);
                }
                Err(RouteError::WeightTooLarge { .. }) => refused += 1,
                Err(RouteError::TooManyRules { .. } | RouteError::Overtakes { .. }) if sticks => refused += 1,
                Err(other) => panic!("seed {seed}: {other}"),
            }
            assert_eq!(
                remember(&live, &NAMES, Some(&originals)),
                originals,
                "seed {seed}: learnt from our edit"
            );
            assert_same(&undone(&live, &originals), &expected);
            if dice.one_in(2) {
                change(&mut dice, [&mut live, &mut expected]);
            }
            if dice.one_in(4) {
                meddle(&mut dice, &mut live);
                assert_same(&undone(&live, &originals), &expected);
            }
        }
        let back = undone(&live, &originals);
        assert_eq!(undo(&back, &NAMES, &originals).unwrap(), None, "seed {seed}");
        assert!(read(&back, &NAMES).only_stable, "seed {seed}");
        assert_same(&back, &expected);
    }
    assert!(
        splits > 1_200 && refused > 20 && stuck > 300,
        "{splits} splits, {stuck} with sessions, {refused} refused: the routes have become too tame"
    );
}
