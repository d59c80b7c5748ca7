import { expect } from "chai";
import { PAGES, read } from "../pages.ts";
import { blocksOf, countCommands, useOf, type Block } from "./blocks.ts";
import { checkPages, type Shell } from "./check.ts";

const page = (...lines: string[]): string => lines.join("\n");
const block = (language: string, mark: string): Block => ({
  page: "a.md",
  line: 1,
  language,
  mark,
  text: "",
});

describe("the blocks of pages", () => {
  it("are found with the line, language and mark of their beginning", () => {
    const text = page(
      "# Title",
      "",
      "```sh run",
      "true",
      "",
      "false",
      "```",
      "",
      "  ```yaml",
      "a: b",
      "  ```",
    );
    expect(blocksOf("a.md", text)).to.deep.equal([
      { page: "a.md", line: 3, language: "sh", mark: "run", text: "true\n\nfalse" },
      { page: "a.md", line: 9, language: "yaml", mark: "", text: "a: b" },
    ]);
  });

  it("say what is to become of them", () => {
    expect(useOf(block("sh", "run"))).to.equal("run");
    expect(useOf(block("sh", "shown: it runs for ever"))).to.equal("shown");
    expect(useOf(block("yaml", ""))).to.equal(undefined);
  });

  it("are wrong without a mark, a reason or a language", () => {
    for (const wrong of [block("sh", ""), block("sh", "shown:"), block("", ""), block("bash", "run")]) {
      expect(useOf(wrong), JSON.stringify(wrong)).to.have.property("wrong");
    }
  });

  it("of all pages are marked", () => {
    const wrong = PAGES.flatMap((file) => blocksOf(file, read(file))).flatMap((one) => {
      const use = useOf(one);
      return typeof use === "object" ? [`${one.page}:${one.line} ${use.wrong}`] : [];
    });
    expect(wrong).to.deep.equal([]);
  });

  it("have as many commands as people would type", () => {
    const text = page(
      "# a comment",
      "one \\",
      "  --with-more",
      "for x in a b; do",
      "  two $x",
      "done",
      "three - <<YAML",
      "kind: none",
      "YAML",
      "four |",
      "  wc",
    );
    expect(countCommands(text)).to.equal(4);
  });
});

describe("docs-check", () => {
  /** A shell in which the word "false" fails, and which remembers what it was given. */
  function fakeShell(): Shell & { readonly ran: string[]; readonly opened: string[] } {
    const ran: string[] = [];
    const opened: string[] = [];
    return {
      ran,
      opened,
      open: async (name, needsLocal) => {
        opened.push(`${name}${needsLocal ? " with a system" : ""}`);
        return {
          run: async (text) => {
            ran.push(text);
            return text.includes("false") ? "it says no" : undefined;
          },
          close: async () => {},
        };
      },
    };
  }

  it("runs blocks in the order of the page, and counts commands", async () => {
    const shell = fakeShell();
    const text = page(
      "```sh local",
      "one",
      "two",
      "```",
      "```sh aws",
      "three",
      "```",
      "```sh run",
      "four",
      "```",
    );
    const result = await checkPages([{ page: "a.md", text }], shell, () => {});
    expect(result).to.deep.equal({ run: 3, aws: 1, failed: 0 });
    expect(shell.ran).to.deep.equal(["one\ntwo", "four"]);
    expect(shell.opened).to.deep.equal(["a.md with a system"]);
  });

  it("fails for a command that fails, says where, and goes on with the next page", async () => {
    const said: string[] = [];
    const pages = [
      { page: "a.md", text: page("```sh run", "false", "```", "```sh run", "after", "```") },
      { page: "b.md", text: page("```sh run", "true", "```") },
    ];
    const shell = fakeShell();
    const result = await checkPages(pages, shell, (line) => said.push(line));
    expect(result).to.deep.equal({ run: 2, aws: 0, failed: 1 });
    expect(said.join("\n")).to.include("a.md:1").and.include("it says no");
    expect(shell.ran, "what follows a failure on its page is not tried").to.deep.equal(["false", "true"]);
  });

  it("fails for YAML and JSON that cannot be read", async () => {
    const text = page("```yaml", "a: [", "```", "```json", "{a}", "```");
    const result = await checkPages([{ page: "a.md", text }], fakeShell(), () => {});
    expect(result.failed).to.equal(2);
  });

  it("opens no shell for a page without commands", async () => {
    const shell = fakeShell();
    await checkPages([{ page: "a.md", text: page("```sh aws", "aws", "```") }], shell, () => {});
    expect(shell.opened).to.deep.equal([]);
  });
});
