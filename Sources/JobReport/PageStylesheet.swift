import PageMarkup

/// The style of the page: that of all pages, and what a report adds.
enum PageStylesheet {
    static let rules =
        PageStyle.layout + PageStyle.figures + PageStyle.heat(isDark: false) + own
        + "@media screen and (prefers-color-scheme: dark) {\n" + PageStyle.darkColors + PageStyle.heat(isDark: true)
        + darkMarks + "}\n" + PageStyle.onPaper + onPaper

    private static let own = """
        :root { --warning: #9a3412; --mark: #0072b2; }
        body { overflow-wrap: anywhere; }
        section { scroll-margin-top: 1rem; }
        h3 { font-size: 1.02rem; font-weight: 620; margin: 2.4rem 0 0.5rem; }
        bdi { unicode-bidi: isolate; }
        .skip { position: absolute; left: -100vw; top: 0; padding: 0.6rem 1rem; background: var(--paper); }
        .skip:focus { left: 0; }
        .run { font-size: 0.9rem; color: var(--quiet); margin: 1.2rem 0 0; }
        dt { flex: none; max-width: 60%; overflow-wrap: normal; }
        .whole { grid-column: 1 / -1; }
        table { min-width: min(38rem, 100%); }
        .heat { min-width: min(30rem, 100%); margin-top: 0; }
        .heat tbody th { border: 0; }
        caption strong { display: block; font-size: 0.98rem; }
        thead th { vertical-align: bottom; white-space: normal; overflow-wrap: normal; }
        tbody th { min-width: 9rem; max-width: 24rem; overflow-wrap: anywhere; }
        td:not(.number) { white-space: normal; min-width: 5rem; overflow-wrap: break-word; }
        td bdi { overflow-wrap: anywhere; }
        th.number, td.number { overflow-wrap: normal; }
        .wide + .wide, .wide + figure, figure + .wide, p + .wide { margin-top: 2rem; }
        .wide:has(.heat) { padding-bottom: 0.4rem; }
        .heat tbody th { max-width: 16rem; min-width: 7rem; }
        .heat thead td { vertical-align: bottom; color: var(--quiet); font-size: 0.86rem; white-space: normal; }
        .turned { vertical-align: bottom; }
        .turned bdi {
          writing-mode: vertical-rl; transform: rotate(180deg); max-height: 13rem; text-align: left;
          overflow-wrap: anywhere; display: inline-block;
        }
        .messages { list-style: none; margin: 0; padding: 0; max-width: 50rem; }
        .messages li { border-left: 3px solid var(--rule); padding: 0.1rem 0 0.1rem 0.9rem; margin: 0.9rem 0; }
        .messages .warning { border-color: var(--warning); }
        .warning strong { color: var(--warning); }
        .reading { margin: 0.6rem 0; }
        pre {
          font: 0.84rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 0;
          white-space: pre-wrap; padding: 0.9rem 1rem; border: 1px solid var(--rule);
        }
        figure .wide svg { width: 100%; min-width: 40rem; }
        .bar { stroke: var(--mark); }
        .point { fill: var(--mark); }

        """

    private static let darkMarks = """
        :root { --warning: #ffab70; --mark: #5ab4ea; }

        """

    private static let onPaper = """
        @media print {
          .skip { display: none; }
          body { font-size: 9.5pt; }
          a { color: inherit; text-decoration: none; }
          h1 { font-size: 18pt; }
          h2 { font-size: 13pt; }
          h3 { break-after: avoid; }
          section { margin-top: 1.4rem; }
          table, .dense, .heat { font-size: 8pt; }
          caption, .reading, thead th, .heat thead td { font-size: 8pt; }
          td:not(.number) { min-width: 0; }
          th, td { padding: 0.18rem 0.4rem; }
          caption { position: static; }
          tbody th { min-width: 0; }
          figure .wide svg { min-width: 0; }
          .messages li, .settings div { break-inside: avoid; }
        }

        """
}
