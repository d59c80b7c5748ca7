/**
 * Generates docs/errors.md from the tables of EC2's errors and state reasons, which are the source of truth.
 * `node build/generate-error-docs.ts --check` only compares, and fails on a difference.
 */
import { readFile, writeFile } from "node:fs/promises";
import { HIBERNATION_NOT_READY, type Retry } from "../src/machines/ec2/error-rules.ts";
import { ERROR_TABLE } from "../src/machines/ec2/error-table.ts";
import { STATE_REASONS } from "../src/machines/ec2/state-reasons.ts";

const TARGET = new URL("../docs/errors.md", import.meta.url);

const WHAT_HAPPENS: Readonly<Record<Retry, string>> = {
  "next-combination":
    "the next type or zone, at once; after all of them a growing pause of up to 2 min or more",
  "back-off": "the same again after a growing pause",
  "look-again": "looks at the machine, then decides anew",
  "after-change":
    "soon again, then after growing pauses of up to 30 min, and at once when the class or the satellite changes",
  "new-attempt": "a new launch with a new token",
};

/** Reasons that no EC2 code stands behind. */
const OWN_REASONS: readonly (readonly [reason: string, advice: string])[] = [
  [
    "SubnetIPv6Only",
    "the class chooses subnets that have IPv6 alone; choose some with IPv4 (dual-stack ones will do)",
  ],
  [
    "NoIPv4Address",
    "the machine has no private IPv4 address, so nobody can reach it; choose subnets with IPv4",
  ],
  ["ComingUp", "the machine has been coming up for more than a minute; the message says what is waited for"],
  [
    "FallingAsleep",
    "EC2 has been stopping the machine for more than a minute; after ten it is stopped by force",
  ],
  [
    "LaunchUnsettled",
    "the satellite is being deleted, and whether EC2 launched a machine for it is looked for by its token for five minutes",
  ],
  [
    "Draining",
    "streams have been open for more than a minute, and the machine is stopped when they end, or after spec.drainTimeout",
  ],
  ["Terminating", "EC2 has been terminating a machine of the satellite for more than a minute; wait"],
  [
    "MachineStateContradicts",
    "EC2 shows the machine as stopped, which the operator did not do; it is looked at again before it is believed",
  ],
  [
    "MachineEnded",
    "the machine ended before it was of use, and EC2 does not say why; look at it in the account",
  ],
  ["Rebooting", "the machine's port does not answer, so it is rebooted; check guest and security group"],
  [
    "Restarting",
    "the machine's port did not answer after a reboot either, so it is stopped and started; check guest and security group",
  ],
  [
    "RecoveryPaused",
    "the machine's port does not answer, and its class allows no further step in this hour (spec.recovery.maxPerHour); the message says when the next one is taken",
  ],
  ["Replacing", "the machine is being replaced by one from the class's image of now"],
  [
    "ClassNotHeldYet",
    "the class is being deleted, or the operator has not put its finalizer on it yet; name another class, or wait",
  ],
  [
    "LaunchIntentIncomplete",
    "status.launch lacks parameters of the launch, which is planned anew; see that the CRDs are those of the operator's version",
  ],
  ["ClassNotFound", "the SatelliteClass does not exist; create it"],
  ["SizeUnknown", "the class does not have the size; correct spec.size"],
  ["NamespaceNotAllowed", "the class may not be used from this namespace; ask its owner"],
  ["UserDataMissing", "the class's Secret lacks the key userData; add it"],
  ["UserDataTooLarge", "EC2 takes 16 KB of user data; shorten it"],
  ["NoTypeAvailable", "no type of the size exists in the zone or for the architecture; add types"],
  [
    "AdoptionNotFound",
    "the instance to take over does not exist; correct the annotation satellites.dev/adopt",
  ],
  [
    "AdoptionInvalid",
    "the annotation satellites.dev/adopt is no instance's ID, or there is a data volume on the instance and the satellite has another one; correct or remove the annotation, or detach the volume",
  ],
  [
    "AdoptionNotAllowed",
    "the owner must tag the instance, and a data volume that is on it, satellites.dev/adoptable-by, as the message says",
  ],
  [
    "AwakeLimitReached",
    "the class lets no more satellites be awake (spec.maxAwake); it wakes when another sleeps",
  ],
  [
    "Unreachable",
    "the machine runs but its port does not answer, after a reboot and a restart; check guest and security group",
  ],
  [
    "RecoveryPaused",
    "the machine runs but its port does not answer, and its class allows no further step in this hour; see docs/operations.md, Machines that do not answer",
  ],
  [
    "GuestFailed",
    "the guest says on the machine's console what has failed; see docs/guest.md, What a guest says on its console",
  ],
  [
    "OtherVM",
    "another key is shown at the machine's address than the recorded one; see docs/troubleshooting.md",
  ],
  ["TLSNotServed", "the class requires TLS and the guest does not serve it; see docs/guest.md"],
  ["TLSOutdated", "the machine was launched without TLS, and its class requires it by now"],
  ["WakeScheduleInvalid", "spec.wakeSchedule is not understood; correct it"],
  ["TimeZoneUnknown", "spec.maintenance.timeZone is no time zone; correct it"],
  [
    "ImageOutdated",
    "the class has another image by now, and replacing the machine would lose its disk; see docs/decisions/0040",
  ],
  ["ImageUpdatePending", "the class has another image by now; the machine is replaced while it sleeps"],
  [
    "ReplacementSilent",
    "the new machine's port did not answer within 10 minutes; the old one is used. Check the image",
  ],
  ["ReplacementFailed", "the new machine ended by itself, as the message says; the old one is used"],
  ["ReplacementGone", "EC2 does not show the new machine; the old one is used"],
  [
    "MachineNotVisible",
    "EC2 does not show a machine that it has launched for the satellite, and that may be too new to be seen; it is looked for",
  ],
  [
    "VolumeNotVisible",
    "EC2 does not show the data volume, or it is not known whether it was made; it is looked for again",
  ],
  ["VolumeNotReady", "EC2 has been making the data volume for more than a minute; wait"],
  [
    "Attaching",
    "EC2 has been attaching the data volume for more than a minute; wait, or look at both in the account",
  ],
  [
    "Detaching",
    "EC2 has been detaching the data volume for more than a minute; wait, or look at both in the account",
  ],
  [
    "VolumeKeptAside",
    "the data volume is on a machine that is kept aside and still uses it; see docs/troubleshooting.md",
  ],
  ["VolumeLost", "the data volume was deleted outside, and what it held is lost; another one is made"],
  ["VolumeIntentIncomplete", "somebody has written status.volume; delete the satellite and create it anew"],
  [
    "WriteRejected",
    "the status does not fit the CRD's schema: install the CRDs of the operator's version; else it is a bug, please report it",
  ],
  ["AdoptionInUse", "the instance to take over, or the data volume on it, is another satellite's"],
  ["LaunchNotVisible", "EC2 launched the machine but does not show it yet; wait"],
  [
    "MachineLost",
    "the machine was terminated outside and spec.machineLossPolicy is Fail; set it to Relaunch, or delete the satellite",
  ],
  [
    "MachineGone",
    "the machine was terminated outside, or EC2 has shown no trace of it for minutes; a new one with an empty disk takes its place",
  ],
  [
    "NotShownByCloud",
    "reads lack the machine or the data volume, which was there before; it is waited for, and counts as gone after ten minutes",
  ],
  [
    "MachineStartedOutside",
    "somebody started the machine while it was being replaced; it keeps its image for now",
  ],
  ["MachineStoppedOutside", "somebody else stopped the machine; it is started when it is wanted"],
  [
    "Stuck",
    "EC2 takes more than ten minutes to start or stop the machine; a stop is forced, a start can only be waited for",
  ],
  [
    "NotSupported",
    "the machine was launched without hibernation, as its type or image cannot, or sleepMode was Stop; it is stopped instead, and its memory is not kept",
  ],
  [
    "StuckStopping",
    "EC2 takes more than ten minutes to hibernate the machine; it is stopped by force, and its memory is not kept",
  ],
  [
    "HibernationRefused",
    "EC2 refuses to hibernate this machine, as the message says; it is stopped instead, and its memory is not kept",
  ],
  ["MemoryLost", "the machine hibernated but booted anew; look in its console output for why"],
  [
    "MachineKeptAside",
    "a machine bears the satellite's tags, and is not the one in use; it is stopped, and can be taken back for a week (docs/operations.md)",
  ],
  [
    "MachineKeptAsideEnded",
    "a machine that was kept aside was terminated, since nobody took it back in a week",
  ],
];

function rows(cells: readonly (readonly string[])[]): string {
  return cells.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const HEADER = `# EC2 errors

Generated from src/machines/ec2/error-table.ts and state-reasons.ts by build/generate-error-docs.ts. Do not edit.

An error is shown on the Satellite: as the reason and message of the condition \`Ready\` (\`Launched\` before there is a machine, \`Updated\` for a change of size), and as an event. The message ends with EC2's own words. Errors after which nothing happens by itself also set the phase \`Failed\`.

`;

const FOOTER = `Codes that are not listed are judged by their families (\`…LimitExceeded\` is a quota, \`…NotFound\` a parameter, and so on). One that belongs to none is judged by the class of its HTTP status: after a 4xx (but 408 and 429) nothing was done, the reason is \`Refused\`, and it is repeated with a growing pause; after a 5xx, a time-out or a broken connection the outcome is open: the machine is looked at, or the same request sent again with the same token, before anything else. Where permissions or credentials are refused, others are asked for and the call is repeated at once; the phase is Failed only after half a minute of quick retries, since what was just permitted is not so everywhere at once.

## What EC2 accepts and then cannot carry out

EC2 may accept a launch or a start and end it later; its word for it is the machine's StateReason. The condition \`Ready\` has the reason, EC2's own code and words, and what to do. It is tried again after pauses that double from 2 s to 10 min and outlive the operator's process (\`status.attempts\`), and at once when the class or the satellite changes; after the fourth time in a row the phase is Failed, but for want of capacity.

| StateReason | you see | meaning, and what to do |
|---|---|---|
${rows(Object.entries(STATE_REASONS).map(([code, { reason, advice }]) => [`\`${code}\``, reason, advice]))}

## Reasons of the operator's own

| you see | meaning, and what to do |
|---|---|
${rows(OWN_REASONS)}
`;

/** The page, as Markdown. */
export function renderErrorDocs(): string {
  const codes = Object.entries(ERROR_TABLE).map(
    ([code, { reason, advice, retry }]) => [`\`${code}\``, reason, advice, WHAT_HAPPENS[retry]] as const,
  );
  const { reason, advice, retry } = HIBERNATION_NOT_READY;
  const notReady = ["`UnsupportedOperation` (not ready to hibernate)", reason, advice, WHAT_HAPPENS[retry]];
  const sorted = [...codes, notReady].toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
  return `${HEADER}| EC2 code | you see | meaning, and what to do | the operator does |
|---|---|---|---|
${rows(sorted)}

${FOOTER}`;
}

if (process.argv[1] === import.meta.filename) {
  const wanted = renderErrorDocs();
  if (!process.argv.includes("--check")) {
    await writeFile(TARGET, wanted);
  } else if ((await readFile(TARGET, "utf8").catch(() => "")) !== wanted) {
    console.error("docs/errors.md differs from the error table; run: node build/generate-error-docs.ts");
    process.exitCode = 1;
  }
}
