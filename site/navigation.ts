/** The order in which a stranger meets the pages. Every page has one place; the build fails where one has none. */

export interface Section {
  readonly text: string;
  readonly pages: readonly Page[];
}

export interface Page {
  readonly text: string;
  /** Path of the Markdown file from the root of the repository. */
  readonly file: string;
}

const page = (text: string, file: string): Page => ({ text, file });

export const SECTIONS: readonly Section[] = [
  {
    text: "Start",
    pages: [
      page("What it is", "README.md"),
      page("Quick start on one machine", "docs/quick-start.md"),
      page("EKS, from an empty account", "docs/eks.md"),
      page("Concepts", "docs/concepts.md"),
    ],
  },
  {
    text: "For developers",
    pages: [
      page("Building with a satellite", "docs/developers.md"),
      page("CI recipes", "docs/ci.md"),
      page("kubectl satellite", "docs/cli.md"),
    ],
  },
  {
    text: "Running it",
    pages: [
      page("Security", "docs/security.md"),
      page("Operations", "docs/operations.md"),
      page("BuildKit for a team", "docs/buildkit.md"),
      page("What runs in the VM", "docs/guest.md"),
      page("EC2", "docs/ec2.md"),
      page("What is ever taken away", "docs/destructive-calls.md"),
      page("The chart", "charts/satellites/README.md"),
      page("The image", "docs/container-image.md"),
    ],
  },
  {
    text: "Reference",
    pages: [
      page("API", "docs/api.md"),
      page("Satellite, field by field", "docs/reference/satellite.md"),
      page("SatelliteClass, field by field", "docs/reference/satelliteclass.md"),
      page("Metrics", "docs/reference/metrics.md"),
      page("Errors of EC2", "docs/errors.md"),
    ],
  },
  {
    text: "Help",
    pages: [
      page("Troubleshooting by symptom", "docs/troubleshooting.md"),
      page("Questions and answers", "docs/faq.md"),
    ],
  },
  {
    text: "The project",
    pages: [
      page("Changes", "CHANGELOG.md"),
      page("Releases", "docs/releases.md"),
      page("Beside other projects", "docs/comparison.md"),
      page("Benchmarks", "docs/benchmarks.md"),
      page("How to change it", "CONTRIBUTING.md"),
    ],
  },
  {
    text: "Inside",
    pages: [
      page("Architecture", "docs/architecture.md"),
      page("Power protocol", "docs/power-protocol.md"),
      page("Facts about Kubernetes", "docs/kubernetes-facts.md"),
      page("Testing", "docs/testing.md"),
      page("Conformance", "docs/conformance.md"),
      page("Decisions", "docs/decisions/README.md"),
    ],
  },
];
