//! Random actions in a world that does as it likes: what has to hold all the same.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Answer, Case, Chance, End, EndedBy, Facts, Failure, Found, Kind, Limits, Orphan, Premises,
    State, Statement, Step, Wish, next,
};

const LIMITS: Limits = Limits { tries: 3, orphan_patience: Duration::from_secs(10) };
/// More steps than any action may take in one run.
const MANY: usize = 60;

fn failure() -> impl Strategy<Value = Failure> {
    let code = prop::sample::select(vec!["55P03", "40P01", "57014", "23505", "53100", "54000"]);
    let by = prop::sample::select(vec![EndedBy::Itself, EndedBy::User, EndedBy::Hold]);
    (code, by).prop_map(|(code, by)| Failure {
        sqlstate: Some(code.to_owned()),
        message: format!("failed with {code}"),
        chance: Chance::of(Some(code)),
        by,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![2 => Just(Answer::Done), 3 => failure().prop_map(Answer::Failed)]
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        3 => Just(Found::Absent),
        1 => Just(Found::TableGone),
        3 => Just(Found::Half),
        2 => Just(Found::Parts),
        3 => any::<bool>().prop_map(|complete| Found::Whole { complete }),
        1 => Just(Found::Busy("busy".to_owned())),
        1 => Just(Found::Other("other".to_owned())),
    ]
}

fn orphan() -> impl Strategy<Value = Option<Orphan>> {
    let one = (0_u64..20, any::<bool>())
        .prop_map(|(waited, cancelled)| Orphan { waited: Duration::from_secs(waited), cancelled });
    prop::option::weighted(0.2, one)
}

/// What one step of the world brings: everything may be different each time it is asked.
#[derive(Clone, Debug)]
struct World {
    found: Found,
    answer: Answer,
    way: bool,
    stop: bool,
    orphan: Option<Orphan>,
}

fn world() -> impl Strategy<Value = World> {
    (found(), answer(), prop::bool::weighted(0.8), prop::bool::weighted(0.1), orphan())
        .prop_map(|(found, answer, way, stop, orphan)| World { found, answer, way, stop, orphan })
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop::sample::select(vec![Kind::Make, Kind::Remove, Kind::Refresh]);
    let wish = prop::sample::select(vec![Wish::CarryOut, Wish::Finish, Wish::TakeBack]);
    (kind, wish, prop::sample::select(State::ALL.to_vec())).prop_map(|(kind, wish, state)| {
        let state = (wish != Wish::CarryOut).then_some(state);
        Case::new(kind, wish, state)
    })
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
enum Did {
    Moved(State, State),
    Sent(Statement, Found, State),
    Ended(End),
}

/// Drives an action through a world as the applier does, until it ends or after so many steps is killed.
fn drive(case: &mut Case, facts: &mut Facts, worlds: &[World], kill: usize) -> Vec<Did> {
    let mut did = Vec::new();
    for step in 0..kill {
        let world = &worlds[step % worlds.len()];
        // What never ends is the world's doing, not ours: an orphan stays for a while only.
        facts.orphan = world.orphan.filter(|_| step < 10);
        // A wish to stop is not taken back.
        facts.stop |= world.stop;
        match next(case, facts, &LIMITS) {
            Step::CheckPremises => {
                facts.premises = Some(if world.way {
                    Premises::Hold
                } else {
                    Premises::Fail("not now".to_owned())
                });
            }
            Step::Intend => case.state = Some(State::Intent),
            Step::Move { to, .. } => {
                did.push(Did::Moved(case.state.expect("a row that moves"), to));
                case.state = Some(to);
            }
            Step::Look => facts.found = Some(world.found.clone()),
            Step::CheckWay => {
                facts.way = Some(if world.way { Ok(()) } else { Err("blocked".to_owned()) });
            }
            Step::Send(statement) => {
                let state = case.state.expect("a row before a statement");
                did.push(Did::Sent(statement, facts.found.take().expect("a look before"), state));
                case.sent(statement, world.answer.clone());
            }
            Step::Rest(statement) => {
                case.rested(statement);
                facts.found = None;
            }
            Step::AwaitOrphan | Step::CancelOrphan => {}
            Step::End(end) => {
                did.push(Did::Ended(end));
                return did;
            }
        }
    }
    did
}

fn held(did: &[Did], kind: Kind) -> Result<(), TestCaseError> {
    for one in did {
        match one {
            Did::Moved(from, to) => prop_assert!(from.may_become(*to), "{from} -> {to}"),
            Did::Sent(statement, found, state) => {
                let at_work = state.is_in_flight() && *state != State::Intent;
                prop_assert!(at_work, "{statement:?} in {state}");
                let ours = !matches!(found, Found::Other(_) | Found::Busy(_));
                prop_assert!(ours || kind == Kind::Refresh, "{statement:?} upon {found:?}");
                match statement {
                    Statement::Complete if kind == Kind::Make => {
                        prop_assert_eq!(*state, State::Verifying);
                        prop_assert_eq!(found, &Found::Whole { complete: false });
                    }
                    Statement::Undo | Statement::Complete => {
                        prop_assert_eq!(*state, State::Reverting);
                    }
                    Statement::Clean => {
                        prop_assert!(matches!(found, Found::Half | Found::Parts), "{found:?}");
                    }
                    Statement::Do => prop_assert!(!state.is_undoing()),
                }
            }
            Did::Ended(_) => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn it_ends_and_does_nothing_wrong(mut case in case(), worlds in prop::collection::vec(world(), 1..30)) {
        let kind = case.kind;
        let did = drive(&mut case, &mut Facts::default(), &worlds, MANY);
        prop_assert!(matches!(did.last(), Some(Did::Ended(_))), "no end: {did:?}");
        held(&did, kind)?;
        let sent = |wanted| did.iter().filter(|one| matches!(one, Did::Sent(s, ..) if *s == wanted)).count();
        prop_assert!(sent(Statement::Do) <= 3 && sent(Statement::Undo) <= 3 && sent(Statement::Complete) <= 3);
        prop_assert!(sent(Statement::Clean) <= 3 * 4);
    }

    #[test]
    fn a_row_that_cannot_be_believed_is_not_acted_upon(mut case in case(), worlds in prop::collection::vec(world(), 1..30)) {
        let mut facts = Facts { contradiction: Some("no".to_owned()), ..Facts::default() };
        case.state = case.state.or(Some(State::Applying));
        let did = drive(&mut case, &mut facts, &worlds, MANY);
        prop_assert!(!did.iter().any(|one| matches!(one, Did::Sent(..))), "{did:?}");
        prop_assert!(matches!(did.last(), Some(Did::Ended(_))), "no end: {did:?}");
    }

    /// Killed anywhere, any number of times, in a world that is honest and lets us work in the end: nothing half
    /// made is left, and the row says what is so.
    #[test]
    fn after_any_kills_two_quiet_runs_bring_it_to_rest(
        kind in prop::sample::select(vec![Kind::Make, Kind::Remove]),
        back in any::<bool>(),
        kills in prop::collection::vec(1_usize..14, 0..5),
        luck in prop::collection::vec(0_usize..4, 40),
    ) {
        let mut real = if kind == Kind::Make { Object::Absent } else { Object::Whole };
        let mut row = None;
        let mut luck = luck.into_iter().cycle();
        if back {
            real = if kind == Kind::Make { Object::Whole } else { Object::Absent };
            row = Some(State::Observing);
        }
        for kill in kills {
            let wish = wish(row, back);
            if let Some(wish) = wish {
                let mut case = Case::new(kind, wish, row);
                honest(&mut case, &mut real, &mut || luck.next().unwrap_or(0), kill)?;
                row = case.state;
            }
        }
        for _ in 0..2 {
            if row.is_some_and(State::is_in_flight) {
                let mut case = Case::new(kind, Wish::Finish, row);
                honest(&mut case, &mut real, &mut || 0, MANY)?;
                row = case.state;
            }
        }
        prop_assert!(!matches!(real, Object::Half | Object::Parts), "row {row:?}");
        let made = real == Object::Whole;
        let in_place = made == (kind == Kind::Make);
        match row {
            None | Some(State::Aborted | State::Reverted) => prop_assert!(!in_place, "{row:?}"),
            Some(State::Observing) => prop_assert!(in_place),
            Some(state) => prop_assert!(false, "rests in {state}"),
        }
    }
}

/// What really is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Absent,
    Half,
    Parts,
    Whole,
}

fn wish(row: Option<State>, back: bool) -> Option<Wish> {
    match row {
        None => Some(Wish::CarryOut),
        Some(state) if state.is_in_flight() => Some(Wish::Finish),
        Some(State::Observing) if back => Some(Wish::TakeBack),
        Some(_) => None,
    }
}

/// Drives an action in a world that does what statements say, if with failures, and shows what is so.
fn honest(
    case: &mut Case,
    real: &mut Object,
    luck: &mut impl FnMut() -> usize,
    kill: usize,
) -> Result<(), TestCaseError> {
    let mut facts = Facts::default();
    for _ in 0..kill {
        match next(case, &facts, &LIMITS) {
            Step::CheckPremises => facts.premises = Some(Premises::Hold),
            Step::Intend => case.state = Some(State::Intent),
            Step::Move { to, .. } => {
                prop_assert!(case.state.is_some_and(|from| from.may_become(to)));
                case.state = Some(to);
            }
            Step::Look => {
                facts.found = Some(match real {
                    Object::Absent => Found::Absent,
                    Object::Half => Found::Half,
                    Object::Parts => Found::Parts,
                    Object::Whole => Found::Whole { complete: true },
                });
            }
            Step::CheckWay => facts.way = Some(Ok(())),
            Step::Send(statement) => {
                let makes = matches!(
                    (case.kind, statement),
                    (Kind::Make, Statement::Do) | (Kind::Remove, Statement::Undo)
                );
                let fresh = matches!(real, Object::Absent | Object::Parts);
                prop_assert!(!makes || fresh, "made upon {real:?}");
                let wanted = if makes { Object::Whole } else { Object::Absent };
                let lucky = luck();
                match lucky {
                    0 | 1 => *real = wanted,
                    2 if case.kind == Kind::Make && case.state == Some(State::Applying) => {
                        *real = if luck() == 0 { Object::Parts } else { Object::Half };
                    }
                    2 => *real = Object::Half,
                    _ => {}
                }
                let code = if lucky == 1 { "57014" } else { "55P03" };
                let failed = Failure {
                    sqlstate: Some(code.to_owned()),
                    message: String::new(),
                    chance: Chance::of(Some(code)),
                    by: EndedBy::Itself,
                };
                let answer = if lucky == 0 { Answer::Done } else { Answer::Failed(failed) };
                facts.found = None;
                case.sent(statement, answer);
            }
            Step::Rest(statement) => case.rested(statement),
            Step::AwaitOrphan | Step::CancelOrphan => prop_assert!(false, "there is no orphan"),
            Step::End(_) => return Ok(()),
        }
    }
    Ok(())
}

#[test]
fn what_lies_in_the_statement_or_the_data_comes_again() {
    for code in ["54000", "22012", "23505", "0A000", "42P17", "2BP01"] {
        assert_eq!(Chance::of(Some(code)), Chance::Never, "{code}");
    }
    for code in ["57014", "53100", "42501", "42P07", "08006", "57P01", "P0001"] {
        assert_eq!(Chance::of(Some(code)), Chance::Later, "{code}");
    }
    for code in ["55P03", "40P01"] {
        assert_eq!(Chance::of(Some(code)), Chance::Again, "{code}");
    }
}

#[test]
fn an_orphan_is_waited_for_then_cancelled_then_left_to_the_next_run() {
    let case = Case::new(Kind::Make, Wish::Finish, Some(State::Applying));
    let step = |seconds, cancelled| {
        let orphan = Orphan { waited: Duration::from_secs(seconds), cancelled };
        next(&case, &Facts { orphan: Some(orphan), ..Facts::default() }, &LIMITS)
    };
    assert_eq!(step(1, false), Step::AwaitOrphan);
    assert_eq!(step(11, false), Step::CancelOrphan);
    assert_eq!(step(1, true), Step::AwaitOrphan);
    assert!(matches!(step(11, true), Step::End(End::Refused(_))));
}
