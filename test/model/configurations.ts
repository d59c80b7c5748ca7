import type { Action } from "./action.ts";
import { leaderActions, operatorActions, operatorDecisions } from "./operator.ts";
import { routerActions } from "./router.ts";
import { type BudgetName, LEASE_ENTRY, Power, type State, VALID, Vm } from "./state.ts";
import { machineActions, personActions, timeActions } from "./world.ts";

/** One bounded world to explore in full. */
export interface Configuration {
  readonly name: string;
  readonly about: string;
  readonly operators: number;
  readonly routers: number;
  readonly actions: readonly Action[];
  /** Fills an empty state with the initial one. */
  begin(s: State): void;
}

interface Options {
  readonly name: string;
  readonly about: string;
  readonly operators?: number;
  readonly routers?: number;
  /** Where it begins: asleep, or awake with nothing open. */
  readonly awake?: boolean;
  /** Each router has written a lease, whose stream has ended. */
  readonly leased?: boolean;
  /** What the person may do; by words of the action's name. */
  readonly person?: readonly string[];
  readonly budget: Partial<Record<BudgetName, number>>;
}

function configuration(options: Options): Configuration {
  const { operators = 1, routers = 1, awake = false, leased = false, person = [], budget } = options;
  const persons = personActions.filter(({ name }) => person.some((word) => name.endsWith(word)));
  if (persons.length !== person.length)
    throw new Error(`${options.name} names an unknown action of the person`);
  const actions = [
    ...routerActions,
    ...operatorDecisions,
    ...operatorActions,
    ...(operators > 1 ? leaderActions : []),
    ...machineActions,
    ...persons,
    ...timeActions,
  ];
  return {
    name: options.name,
    about: options.about,
    operators,
    routers,
    actions,
    begin(s) {
      Object.assign(s.api, { uid: 1, epoch: awake ? 1 : 0, on: awake ? 1 : 0, accepted: 1 });
      s.api.state = awake ? Power.Running : Power.Off;
      s.machine.uid = 1;
      s.machine.vm = awake ? Vm.Running : Vm.Stopped;
      s.machine.read = s.machine.vm;
      s.history.sinceOn = 0;
      for (const [name, count] of Object.entries(budget)) s.budget[name as BudgetName] = count;
      for (const { view, it } of s.routers) {
        s.copyObject(s.api, view);
        Object.assign(it, { leaseAge: VALID, admitAge: VALID, seen0: 1, seen1: 1 });
      }
      if (leased) {
        for (const { it } of s.routers) it.entry = it.copy0 = LEASE_ENTRY;
      }
      const leader = s.operators[0];
      if (leader === undefined) throw new Error("a world needs an operator");
      s.copyObject(s.api, leader.view);
      leader.it.up = 1;
      leader.it.spec = 1;
      if (operators > 1) s.leader.holder = 1;
    },
  };
}

const OFF = "switches it off";
const ON = "switches it on";
const POLICY = "changes wakePolicy";
const TIMEOUT = "changes idleTimeout";
const DELETE = "deletes it";
const CREATE = "creates another of the same name";
const CREATE_OFF = "creates another of the same name, switched off";

export const configurations: readonly Configuration[] = [
  configuration({
    name: "wake",
    about: "two routers wake one sleeper at once",
    routers: 2,
    budget: { requests: 2 },
  }),
  configuration({
    name: "idle",
    about: "one router, falling asleep twice, stale reads of EC2",
    budget: { requests: 2, idleOffs: 2, staleReads: 1 },
  }),
  configuration({
    name: "idle, two routers",
    about: "an awake satellite falls asleep while two routers get requests",
    routers: 2,
    awake: true,
    budget: { requests: 2, idleOffs: 1 },
  }),
  configuration({
    name: "person",
    about: "off, on, wakePolicy at any time; EC2 refuses a stop or a start",
    awake: true,
    person: [OFF, ON, POLICY],
    budget: { requests: 2, person: 2, refusals: 1 },
  }),
  configuration({
    name: "timeout",
    about: "idleTimeout, off and on change while it falls asleep",
    awake: true,
    person: [OFF, TIMEOUT],
    budget: { requests: 1, person: 2, idleOffs: 1 },
  }),
  configuration({
    name: "router loses answers",
    about: "a router gives up on a patch, which lands later or never, while it falls asleep",
    awake: true,
    budget: { requests: 2, idleOffs: 1, routerLosses: 1 },
  }),
  configuration({
    name: "router loses answers, policy",
    about: "the same while a person changes wakePolicy",
    awake: true,
    person: [POLICY],
    budget: { requests: 1, person: 1, idleOffs: 1, routerLosses: 1 },
  }),
  configuration({
    name: "router loses answers, drain",
    about: "a person switches off twice, with streams open, and a patch of the router lands later",
    awake: true,
    person: [OFF],
    budget: { requests: 2, person: 2, routerLosses: 1 },
  }),
  configuration({
    name: "router crashes",
    about: "a router crashes with requests held and streams open, its patch lands later",
    awake: true,
    person: [OFF],
    budget: { requests: 2, person: 1, idleOffs: 1, routerCrashes: 1 },
  }),
  configuration({
    name: "router ends",
    about: "a router withdraws its lease and ends, and another of its name begins; a patch lands later",
    awake: true,
    person: [OFF],
    budget: { requests: 2, person: 1, idleOffs: 1, routerLosses: 1, routerEnds: 1 },
  }),
  configuration({
    name: "operator crashes",
    about: "the operator crashes between any two steps; reads of EC2 are stale",
    budget: { requests: 1, idleOffs: 1, operatorCrashes: 1, staleReads: 1 },
  }),
  configuration({
    name: "operator crashes, person",
    about: "the operator crashes while a person switches on and off during the start",
    person: [ON, OFF],
    budget: { person: 4, operatorCrashes: 1 },
  }),
  configuration({
    name: "operator loses answers",
    about: "an operator's patch lands later or never",
    awake: true,
    budget: { requests: 1, idleOffs: 1, operatorLosses: 1 },
  }),
  configuration({
    name: "operator and person",
    about: "no request; a person switches off and on; late patches, crashes, refusals, stale reads",
    awake: true,
    person: [ON, OFF],
    budget: { person: 4, operatorLosses: 1, operatorCrashes: 1, staleReads: 1, refusals: 1 },
  }),
  configuration({
    name: "prune",
    about:
      "the entry of a router that seems gone is pruned, late or early, while it gets a request and a person switches it off",
    awake: true,
    leased: true,
    person: [OFF],
    budget: { requests: 1, person: 1, prunes: 1, operatorLosses: 1 },
  }),
  configuration({
    name: "delete",
    about: "deletion at any time with a request and open streams",
    awake: true,
    person: [OFF, DELETE],
    budget: { requests: 1, person: 2 },
  }),
  configuration({
    name: "delete and create",
    about: "deletion, and another satellite of the same name while patches for the first are under way",
    awake: true,
    person: [OFF, DELETE, CREATE],
    budget: { person: 4, idleOffs: 1, operatorLosses: 1 },
  }),
  configuration({
    name: "delete and create, router",
    about: "the same with a request and a late lease",
    awake: true,
    person: [DELETE, CREATE],
    budget: { requests: 1, person: 2, routerLosses: 1 },
  }),
  configuration({
    name: "delete and create, wake",
    about: "the same with a request and a late wake",
    person: [DELETE, CREATE_OFF],
    budget: { requests: 1, person: 2, routerLosses: 1 },
  }),
  configuration({
    name: "delete and create, start",
    about: "the same from asleep, with a crash of the operator and a late patch of it",
    person: [ON, DELETE, CREATE],
    budget: { person: 3, operatorLosses: 1, operatorCrashes: 1 },
  }),
  configuration({
    name: "delete and create, drain",
    about: "the same with a live lease and a late Draining intent",
    awake: true,
    leased: true,
    person: [OFF, DELETE, CREATE],
    budget: { person: 4, operatorLosses: 1 },
  }),
  configuration({
    name: "two operators",
    about: "a leader is paused at any point and resumes while the other leads",
    operators: 2,
    awake: true,
    person: [OFF, ON],
    budget: { person: 2, takeovers: 2 },
  }),
];
