import PageMarkup

/// The page's style rules: common ones first, then the colours of dark mode.
enum Stylesheet {
    /// CSS without `<` and `&`, which XML would interpret.
    static let rules =
        PageStyle.layout + PageStyle.figures + PageStyle.heat(isDark: false) + dark + PageStyle.onPaper

    private static let dark: String = {
        let lines = SeriesStyle.colors.enumerated().map { index, color in
            ".series-\(index) { stroke: \(color.dark); } .series-\(index).solid { fill: \(color.dark); } "
                + ".series-\(index).band { fill: \(color.dark); stroke: none; }\n"
        }
        return "@media screen and (prefers-color-scheme: dark) {\n" + PageStyle.darkColors + """
            .unit { stroke: #ff9350; }

            """ + lines.joined() + PageStyle.heat(isDark: true) + "}\n"
    }()
}
