import { expect } from "chai";
import { kubectlArguments, satelliteName } from "../../src/cli/arguments.ts";

describe("arguments as kubectl takes them", () => {
  const read = (line: string): string => kubectlArguments(line.split(" ")).join(" ");

  it("takes a value behind = after a flag of one letter", () => {
    expect(read("ls -o=yaml -n=team-a")).to.equal("ls -o yaml -n team-a");
    expect(read("ls -l=team=a --namespace=b")).to.equal("ls -l team=a --namespace=b");
    expect(kubectlArguments(["ls", "-l=a=b\nc"])).to.deep.equal(["ls", "-l", "a=b\nc"]);
  });

  it("takes its common flags before the command", () => {
    expect(read("-n team-a ls -w")).to.equal("ls -n team-a -w");
    expect(read("-n=team-a --context=work --as ada inspect bob")).to.equal(
      "inspect -n team-a --context=work --as ada bob",
    );
    expect(read("--kubeconfig")).to.equal("--kubeconfig");
    expect(read("--version")).to.equal("--version");
    expect(read("--namespaces x ls")).to.equal("--namespaces x ls");
    expect(kubectlArguments([])).to.deep.equal([]);
  });

  it("leaves alone what is another program's", () => {
    expect(read("-n a run ada -- cc -o=x -n=y")).to.equal("run -n a ada -- cc -o=x -n=y");
    expect(read("-- -n=y")).to.equal("-- -n=y");
  });

  it("takes names as kubectl prints them", () => {
    for (const text of [
      "ada",
      "sat/ada",
      "satellite/ada",
      "satellites/ada",
      "satellite.satellites.dev/ada",
      "satellites.v1alpha1.satellites.dev/ada",
    ]) {
      expect(satelliteName(text)).to.equal("ada");
    }
    expect(satelliteName("pod/ada")).to.equal("pod/ada");
  });
});
