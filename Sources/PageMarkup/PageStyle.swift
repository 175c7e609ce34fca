/// Style rules that pages share: CSS without `<` and `&`, which XML would interpret.
package enum PageStyle {
    package static let layout = """
        :root {
          --paper: #ffffff; --ink: #1d2430; --quiet: #5b6573; --rule: #d9dee5; --strong-rule: #8a919c; --link: #1e5292;
        }
        * { box-sizing: border-box; }
        html { font-size: 16px; }
        body {
          margin: 0 auto; max-width: 66rem; padding: 3.5rem 1.5rem 5rem; background: var(--paper); color: var(--ink);
          font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
          line-height: 1.55;
        }
        h1 { font-size: 2.1rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; margin: 0 0 0.8rem; }
        h2 { font-size: 1.35rem; font-weight: 620; letter-spacing: -0.01em; margin: 0 0 0.6rem; }
        section { margin-top: 4rem; }
        a { color: var(--link); text-underline-offset: 0.2em; }
        :focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
        .lead { font-size: 1.15rem; max-width: 46rem; color: var(--quiet); margin: 0 0 1.6rem; }
        .headline {
          list-style: none; margin: 2rem 0; padding: 0; display: grid; gap: 1rem 2.5rem;
          grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr));
        }
        .headline li { border-top: 2px solid var(--ink); padding-top: 0.7rem; }
        .headline li strong { display: block; font-size: 2rem; font-weight: 620; line-height: 1.2; }
        .headline li strong span { font-size: 1.05rem; font-weight: 450; color: var(--quiet); }
        .headline li > span { color: var(--quiet); font-size: 0.92rem; line-height: 1.4; display: block; }
        .facts { display: flex; flex-wrap: wrap; gap: 0.3rem 2rem; margin: 0; font-size: 0.88rem; }
        .facts div { display: flex; gap: 0.5rem; }
        dt { color: var(--quiet); }
        dd { margin: 0; }
        nav ul {
          list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.4rem; margin: 2rem 0 0; padding: 0.8rem 0;
          border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); font-size: 0.9rem;
        }
        nav a { text-decoration: none; }
        nav a:hover { text-decoration: underline; }
        .wide { overflow-x: auto; margin: 0 -0.25rem; padding: 0 0.25rem; }
        table {
          border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.93rem;
          min-width: min(50rem, 100%);
        }
        .dense { font-size: 0.86rem; }
        .dense th, .dense td { padding-left: 0.5rem; padding-right: 0.5rem; }
        caption, figcaption, .reading {
          text-align: left; color: var(--quiet); font-size: 0.9rem; line-height: 1.5; max-width: 50rem;
        }
        caption {
          padding-bottom: 0.9rem; position: sticky; left: 0; max-width: min(50rem, calc(100vw - 3.5rem));
        }
        caption strong { color: var(--ink); }
        th, td { padding: 0.42rem 0.9rem; text-align: left; vertical-align: baseline; white-space: nowrap; }
        th:first-child, td:first-child { padding-left: 0; }
        thead th { font-weight: 600; border-bottom: 1px solid var(--strong-rule); font-size: 0.86rem; }
        thead td { border-bottom: 1px solid var(--strong-rule); }
        tbody th { font-weight: 450; white-space: normal; min-width: 15rem; }
        tbody tr + tr > * { border-top: 1px solid var(--rule); }
        tbody tr:last-child > * { border-bottom: 1px solid var(--strong-rule); }
        tbody small { color: var(--quiet); font-size: 0.84em; }
        tbody th small { display: inline-block; margin-left: 0.35em; }
        .number { text-align: right; }
        .spread { display: inline-block; text-align: left; color: var(--quiet); white-space: pre; }
        .settings { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 0 3rem; }
        .settings div {
          display: flex; justify-content: space-between; gap: 1.5rem; padding: 0.4rem 0;
          border-bottom: 1px solid var(--rule); font-size: 0.92rem;
        }
        .settings dd { text-align: right; }
        .notes { padding-left: 1.1rem; max-width: 50rem; }
        .notes li { margin-bottom: 0.5rem; }

        """

    package static let figures = """
        figure { margin: 1.2rem 0 0; }
        figcaption { margin-top: 1rem; }
        svg { display: block; max-width: 100%; height: auto; font-family: inherit; font-variant-numeric: tabular-nums; }
        .plot { overflow-x: auto; }
        .plot svg { width: 100%; min-width: 40rem; }
        .tick { fill: var(--quiet); }
        .axis { stroke: var(--strong-rule); }
        .legend {
          list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.6rem; padding: 0; margin: 0.6rem 0 0;
          font-size: 0.88rem;
        }
        .legend li { display: flex; align-items: center; gap: 0.5rem; }
        .maps {
          list-style: none; padding: 0; margin: 1.2rem 0 0; display: grid; gap: 2rem 1.5rem;
          grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr));
        }
        .maps p { margin: 0 0 0.4rem; font-size: 0.92rem; line-height: 1.35; }
        .maps small { color: var(--quiet); display: block; }
        .heat { margin-top: 1.6rem; font-size: 0.86rem; min-width: 0; }
        .heat tbody th { min-width: 0; }
        .heat th, .heat td { padding: 0.35rem 0.7rem; }
        .heat tbody td { border: 1px solid var(--paper); }

        """

    /// The colours of table cells; pictures also contain their colours, for readers without these rules.
    package static func heat(isDark: Bool) -> String {
        (0..<ColorScale.stepCount).map { step in
            let name = ColorScale.className(step)
            let color = ColorScale.color(step, isDark: isDark)
            let text = ColorScale.needsLightText(step, isDark: isDark) ? "#ffffff" : "#000000"
            return "td.\(name) { background: \(color); color: \(text); } rect.\(name) { fill: \(color); }\n"
        }.joined()
    }

    /// The colours of the dark scheme, for a rule that asks for it.
    package static let darkColors = """
        :root {
          --paper: #14181f; --ink: #e4e8ee; --quiet: #9aa5b4; --rule: #2b323d; --strong-rule: #667180;
          --link: #86b8ea;
        }

        """

    package static let onPaper = """
        @media print {
          @page { margin: 16mm; }
          body { max-width: none; padding: 0; font-size: 10pt; }
          nav { display: none; }
          section { margin-top: 2rem; }
          .wide { overflow: visible; }
          h2, caption { break-after: avoid; }
          figure, tr, .heat, .maps li { break-inside: avoid; }
          td, rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
        }

        """
}
