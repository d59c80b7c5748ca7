import { dirname, join } from "node:path";
import { expect } from "chai";
import { anchorOf, read } from "./pages.ts";

const FAQ = "docs/faq.md";

/** Where an answer stands, as the row's link says it, and words that it cannot do without. */
type Answer = readonly [link: string, ...words: string[]];

/**
 * The questions of those who install Satellites on EKS for fifty developers, in the order in which they meet them, each with
 * its answers. One that is taken away or moved is missed here.
 */
const ANSWERS: Readonly<Record<string, readonly Answer[]>> = {
  "Which commit is a release, and where is its chart?": [
    ["releases.md", "Tag the commit vVERSION", "satellites-chart-VERSION.tgz"],
    ["eks.md#1-image-and-chart", "a commit with a tag vVERSION", "charts/satellites", "make publish"],
  ],
  "What does the operator's role look like, by IRSA or Pod Identity?": [
    [
      "eks.md#2-the-operators-role",
      "trust-irsa.json",
      "aws eks create-pod-identity-association",
      "operator-policy.json",
      "system:serviceaccount:satellites:satellites",
    ],
  ],
  "How do I get an AMI?": [
    ["buildkit.md#the-image", "A stock image is enough", "ssmParameter: /aws/service/canonical"],
  ],
  "Which base hibernates?": [
    ["buildkit.md#the-image", "Ubuntu 22.04", "Amazon Linux 2023", "Debian is not in AWS's list"],
  ],
  "What does `{architecture}` become?": [["eks.md#5-the-class", "becomes amd64 or arm64"]],
  "What does a class for BuildKit look like?": [
    ["../examples/aws/buildkit.yaml", "kind: SatelliteClass", "kind: buildkit", "registryMirrors:"],
    ["eks.md#5-the-class", "examples/aws/buildkit.yaml"],
  ],
  "Which instance types hibernate?": [
    ["buildkit.md#instance-types", "HibernationSupported", "less than 150 GiB of memory", "no bare metal"],
  ],
  "Security groups: nodes or pods as source? NAT?": [
    [
      "eks.md#3-network",
      "Nodes or pods as the source?",
      "security groups for pods",
      "private subnets with a NAT gateway",
      "--port 8372",
    ],
  ],
  "Which grants does a KMS key need?": [
    [
      "eks.md#4-kms",
      "kms-key-policy-statements.json",
      "The account's default EBS key (aws/ebs) needs nothing",
    ],
  ],
  "Which names are in the certificate, and who makes it?": [
    [
      "eks.md#6-names-certificates-and-the-load-balancer",
      "*.sat.example.com",
      "router.tls.certificate",
      "cert-manager",
      "issuers.yaml",
    ],
  ],
  "NLB: target type, health check, TLS, PROXY protocol, DNS?": [
    [
      "eks.md#6-names-certificates-and-the-load-balancer",
      "router.service.annotations",
      "target type ip",
      "tcp on the traffic port",
      "TLS passthrough",
      "router.proxyProtocolFrom",
      "one DNS record",
    ],
  ],
  "How do they authenticate? Who issues, rotates, revokes?": [
    ["eks.md#7-fifty-developers", "issued by", "rotated", "revoked", "delete the RoleBinding"],
  ],
  "What is the exact `docker buildx create` line?": [
    [
      "developers.md#by-certificate",
      "docker buildx create --name satellite --driver remote",
      "servername=ada--team-a.sat.example.com",
    ],
  ],
  "One satellite each, or one for all?": [
    ["buildkit.md#one-each-or-one-for-all", "one satellite each", "isolation"],
  ],
  "How are fifty made?": [["eks.md#7-fifty-developers", "for name in ada grace linus", "developer.yaml"]],
  "Does `docker buildx ls` wake all?": [
    ["guest.md#what-buildkit-is-asked", "wake nothing", "fifty builders"],
  ],
  "Registry mirrors, a private CA, garbage collection?": [
    ["guest.md#what-buildkit-is-told", "registryMirrors", "gcpolicy"],
    ["guest.md#where-buildkit-comes-from", "caCertificates", "private CA"],
    ["guest.md#the-limits-of-buildkit", "diskReservePercent"],
  ],
  "Both architectures in one builder?": [["buildkit.md#both-architectures", "--append", "linux/arm64"]],
  "CI without a stored secret?": [["ci.md", "## GitHub Actions", "## GitLab", "id-token: write"]],
  "How long does a wake take on EC2?": [
    ["buildkit.md#what-it-costs-asleep-and-how-long-a-wake-takes", "not measured by us", "10 to 20 s"],
  ],
  "What does one cost asleep in a month?": [["eks.md#9-what-it-costs-asleep", "24.20 USD a month"]],
  "How do I look into a broken VM?": [
    ["buildkit.md#when-a-vm-is-broken", "get-console-output", "SSM", "journalctl --unit buildkit"],
  ],
  "What is the order of an upgrade, when one pod holds both?": [
    ["operations.md#upgrades", "one pod holds both, so no order can be kept"],
  ],
  "What happens to builds when a node is drained?": [
    ["operations.md#when-a-node-is-drained", "an hour at most"],
  ],
  "What happens when the cluster is replaced, and so kube-system's UID?": [
    [
      "operations.md#another-cluster",
      "it sees none of the old machines",
      "Key=satellites.dev/cluster,Value=$uid",
    ],
  ],
  "Can a satellite take over an instance that exists?": [
    [
      "operations.md#taking-over-an-instance",
      "satellites.dev/adopt:",
      "Key=satellites.dev/adoptable-by",
      "The data volume on it is taken along",
    ],
  ],
  "And when etcd is restored?": [["operations.md#the-same-cluster-restored", "MachineFound"]],
  "How many satellites does one operator bear?": [
    ["operations.md#capacity-and-quotas", "10,000 satellites"],
    ["operations.md#beyond-10000-satellites", "Several operators can share a cluster"],
  ],
  "Which quotas of AWS matter?": [
    ["operations.md#capacity-and-quotas", "vCPUs of running On-Demand Standard instances", "gp3"],
  ],
  "What can a stolen VM reach?": [
    [
      "security.md#what-a-taken-over-vm-can-reach",
      "Its callers: it sees what they send",
      "Kubernetes: nothing",
    ],
  ],
  "Can the operator destroy something by mistake?": [["destructive-calls.md", "TerminateInstances"]],
  "Why not a pod?": [["comparison.md", "a kernel of its own"]],
  "Why is `desiredPower` not in my manifest?": [["api.md", "autoscaler"]],
  "What may change between versions?": [["../CHANGELOG.md#what-a-version-means", "Before 1.0.0"]],
};

/** Rows of the page's tables: the question, and the links of its answer. */
function rows(): Map<string, string[]> {
  const lines = [...read(FAQ).matchAll(/^\| (?!question )(?<question>\S.*?) \| (?<answers>.* \| .*) \|$/gm)];
  return new Map(
    lines.map(({ groups }) => [
      groups?.["question"] ?? "",
      [...(groups?.["answers"] ?? "").matchAll(/\]\((?<link>[^)]*)\)/g)].map(([, link = ""]) => link),
    ]),
  );
}

/** What a link of the page leads to: a file, or a section of it with those below, without marks and line ends. */
function textAt(link: string): string {
  const [path = "", anchor] = link.split("#");
  const text = read(join(dirname(FAQ), path));
  return plain(anchor === undefined ? text : section(text, anchor));
}

function section(text: string, anchor: string): string {
  const headings = [...text.matchAll(/^(?<marks>#+) (?<title>.*)$/gm)];
  const at = headings.findIndex(({ groups }) => anchorOf(groups?.["title"] ?? "") === anchor);
  const level = headings[at]?.groups?.["marks"]?.length ?? 0;
  const next = headings.slice(at + 1).find(({ groups }) => (groups?.["marks"]?.length ?? 0) <= level);
  return at < 0 ? "" : text.slice(headings[at]?.index, next?.index);
}

const plain = (text: string): string => text.replaceAll(/[`|]|\*\*/g, "").replaceAll(/\s+/g, " ");

describe("questions of those who install it", () => {
  it("are those of the page, with its links", () => {
    const expected = Object.entries(ANSWERS).map(([question, answers]) => [
      question,
      answers.map(([link]) => link),
    ]);
    const found = [...rows()].map(([question, links]) => [question, links]);
    const byQuestion = (list: unknown[][]): Record<string, unknown> =>
      Object.fromEntries(list.map(([question, links]) => [question, (links as string[]).toSorted()]));
    expect(byQuestion(found)).to.deep.equal(byQuestion(expected));
  });

  for (const [question, answers] of Object.entries(ANSWERS)) {
    it(`${question} is answered where the page says`, () => {
      for (const [link, ...words] of answers) {
        const text = textAt(link);
        for (const word of words) expect(text, `${link} lost its answer`).to.contain(plain(word));
      }
    });
  }
});
