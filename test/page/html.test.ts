import { expect } from "chai";
import { html } from "../../src/page/html.ts";

const EVIL = `<script>alert("1" + '2' & 3)</script>`;
const HARMLESS = "&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39; &amp; 3)&lt;/script&gt;";

describe("HTML of templates", () => {
  it("escapes what is put in, as text and as an attribute", () => {
    expect(html`<p title="${EVIL}">${EVIL}</p>`.text).to.equal(`<p title="${HARMLESS}">${HARMLESS}</p>`);
  });

  it("escapes it in lists, and leaves what is HTML already", () => {
    const list = [html`<b>${EVIL}</b>`, EVIL];
    expect(html`<p>${list}</p>`.text).to.equal(`<p><b>${HARMLESS}</b>${HARMLESS}</p>`);
  });

  it("shows nothing for what is absent, and a number as it is", () => {
    expect(html`<p>${undefined}${0}${[]}</p>`.text).to.equal("<p>0</p>");
  });
});
