import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect } from "chai";
import { findOnPath } from "../tools/catalog.ts";
import { Terminal } from "./terminal.ts";

/** In the shells themselves. Names come from a stand-in for the plug-in, which says which namespace it was asked about. */
describe("completion", function () {
  this.timeout(30_000);
  let directory: string;
  let script: (shell: string) => string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "satellites-completion-"));
    script = (shell) => join(directory, `completion.${shell}`);
    env = { PATH: `${directory}:${process.env["PATH"] ?? ""}`, HOME: directory, TERM: "dumb" };
    const terminal = new Terminal({ environment: {} });
    for (const shell of ["bash", "zsh", "fish", "kubectl"]) {
      writeFileSync(script(shell), (await terminal.run("completion", shell)).out, { mode: 0o755 });
    }

    const plugin = join(directory, "kubectl-satellite");
    const answer =
      'case "$*" in *team-b*) echo satellite.satellites.dev/eve ;; *) echo satellite.satellites.dev/ada ;; esac';
    writeFileSync(plugin, `#!/bin/sh\n${answer}\n`);
    chmodSync(plugin, 0o755);
  });
  after(() => rmSync(directory, { recursive: true }));

  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: "utf8", env, timeout: 20_000 });

  /** @returns what completes the words of a line, the last of which is begun */
  const shells: Readonly<Record<string, (...words: string[]) => string[]>> = {
    bash: (...words) => {
      const line = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}`;
      const ask = `source ${script("bash")}; ${line}; _kubectl_satellite; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return run("bash", "-c", ask).trimEnd().split("\n");
    },
    fish: (...words) =>
      run("fish", "--no-config", "-c", `source ${script("fish")}; complete -C '${words.join(" ")}'`)
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t")[0] ?? ""),
    // At a terminal of its own, since its completion works nowhere else; keys count once the prompt is there.
    zsh: (...words) => {
      const ask = `
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z "autoload -Uz compinit; compinit -u -D; source ${script("zsh")}; PS1='PRO''MPT>'"
        zpty -r -m z seen '*PROMPT>*'
        zpty -w -n z $'${words.join(" ")}\\t\\n'
        zpty -r -m z seen '*PROMPT>*'
        print -r -- "$seen"`;
      const seen = run("zsh", "-f", "-c", ask);
      const text = stripVTControlCharacters(seen).replaceAll("\u0008", "");
      const line = /kubectl-satellite [^\r\n]*/.exec(text)?.[0] ?? seen;
      return [line.trim().split(" ").at(-1) ?? ""];
    },
    kubectl: (...words) => {
      const lines = run(script("kubectl"), ...words.slice(1))
        .trimEnd()
        .split("\n");
      expect(lines.at(-1)).to.equal(":4");
      return lines
        .slice(0, -1)
        .flatMap((line) => line.split("\t")[0] ?? [])
        .filter((word) => word.startsWith(words.at(-1) ?? ""));
    },
  };

  for (const [shell, complete] of Object.entries(shells)) {
    describe(`in ${shell}`, function () {
      before(function () {
        if (shell !== "kubectl" && findOnPath(shell) === undefined) {
          console.log(`        ${shell} is not installed (Debian: ${shell})`);
          this.skip();
        }
      });

      it("knows commands, their flags, and names", () => {
        expect(complete("kubectl-satellite", "ins")).to.deep.equal(["inspect"]);
        expect(complete("kubectl-satellite", "proxy", "--sock")).to.deep.equal(["--socket"]);
        expect(complete("kubectl-satellite", "wake", "a")).to.deep.equal(["ada"]);
      });
    });
  }

  for (const shell of ["bash", "kubectl"]) {
    it(`looks for names where the line says so, in ${shell}`, () => {
      expect(shells[shell]?.("kubectl-satellite", "wake", "-n", "team-b", "e")).to.deep.equal(["eve"]);
    });
  }

  it("names every command everywhere", async () => {
    const { out } = await new Terminal({ environment: {} }).run("completion", "bash");
    for (const command of [
      "ls",
      "inspect",
      "wake",
      "sleep",
      "rm",
      "use",
      "proxy",
      "run",
      "buildx",
      "doctor",
      "savings",
    ]) {
      expect(out).to.contain(command);
    }
  });
});
