/// The style of the page for people, for light and dark backgrounds and for screens from phone size up.
enum OverviewStyle {
    static let rules = page + tables + pictures + narrow

    private static let page = """
        :root {
          color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif;
          --quiet: #5b6573; --line: #8886; --active: #1e5292; --good: #1b7a3d; --bad: #b3261e;
        }
        @media (prefers-color-scheme: dark) {
          :root { --quiet: #9aa5b4; --active: #86b8ea; --good: #6fcf8e; --bad: #ff8a80; }
        }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 80rem; padding: 1.2rem; }
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.3rem 1rem; }
        header p { margin: 0; }
        h1 { font-size: 1.3rem; margin: 0; }
        h2 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; overflow-wrap: break-word; }
        .status { flex-basis: 100%; font-size: 1.1rem; overflow-wrap: break-word; }
        .time { flex-basis: 100%; font-size: 0.85rem; color: var(--quiet); }
        .state { font-weight: 600; overflow-wrap: break-word; }
        .state.active { color: var(--active); }
        .state.good { color: var(--good); }
        .state.bad { color: var(--bad); }
        .state.idle, figcaption, footer { color: var(--quiet); }
        footer { margin-top: 2rem; font-size: 0.87rem; overflow-wrap: break-word; }
        footer a { margin-right: 0.8rem; }

        """

    private static let tables = """
        table { border-collapse: collapse; width: 100%; }
        th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid var(--line); text-align: left; }
        th { font-size: 0.85rem; font-weight: 600; color: var(--quiet); }
        th, td { vertical-align: top; overflow-wrap: break-word; }
        td { white-space: pre-wrap; max-width: 26rem; }
        td.name { white-space: nowrap; }
        td.number, span.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
        progress { width: 6rem; height: 0.7rem; accent-color: var(--active); vertical-align: baseline; }
        .stages { list-style: none; margin: 0; padding: 0; font-size: 0.87rem; white-space: nowrap; }
        .stages li { display: flex; gap: 0.5rem; align-items: baseline; }
        .stages li span:first-child { width: 8.5rem; flex: none; }

        """

    private static let pictures: String = {
        // Opacity in percent, from faint to full.
        let shades = (0...10).map { ".s\($0) { fill-opacity: \($0 == 0 ? 8 : 20 + 8 * $0)%; }" }
        return """
            figure { margin: 0; }
            figcaption { font-size: 0.87rem; margin-top: 0.3rem; overflow-wrap: break-word; }
            .wide { overflow-x: auto; }
            svg { display: block; }
            .grid text { font-size: 12px; text-anchor: end; fill: currentColor; }
            .cell { fill: var(--active); }
            .active.cell { stroke: currentColor; stroke-width: 1.5; }
            .none { fill: none; stroke: var(--line); stroke-dasharray: 2 2; }
            .history { width: 100%; max-width: 60rem; border-bottom: 1px solid var(--line); }
            .history rect { fill: var(--active); }

            """ + shades.joined(separator: "\n") + "\n"
    }()

    private static let narrow = """
        @media (max-width: 64rem) {
          body { padding: 0.8rem; }
          thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
          table, tbody, tr, td { display: block; max-width: none; }
          tr { border-bottom: 1px solid var(--line); padding: 0.5rem 0; }
          td, td.number, td.name { white-space: pre-wrap; }
          td { border: 0; padding: 0.1rem 0; display: grid; grid-template-columns: 6.5rem 1fr; gap: 0.6rem; }
          td > div { min-width: 0; }
          td::before { content: attr(data-label); color: var(--quiet); font-size: 0.85rem; }
          progress { width: 3.5rem; }
        }
        """
}
