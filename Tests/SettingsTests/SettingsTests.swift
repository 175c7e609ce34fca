import TestSupport
import Testing

@testable import Settings

@Suite struct SettingsTests {
    private let directory: TemporaryDirectory
    private let keys = [
        SettingKey("bind", .text, default: .text("here")), SettingKey("state-directory", .text),
        SettingKey("heartbeat", .integer, default: .integer(1000)),
        SettingKey("end-with-input", .truth, default: .truth(false)),
        SettingKey("root", .list, default: .list([])),
        SettingKey("log-level", .text, default: .text("notice"), isReloadable: true),
    ]

    init() throws { directory = try TemporaryDirectory() }

    private func settings(
        flags: [String: SettingValue] = [:], environment: [String: String] = [:], file text: String? = nil
    ) throws -> Settings {
        let path = try text.map { try directory.write(Array($0.utf8), to: "c.yaml") }
        return try Settings(keys: keys, flags: flags, environment: environment, file: path)
    }

    private func problem(environment: [String: String] = [:], file text: String) -> String? {
        do {
            _ = try settings(environment: environment, file: text)
            return nil
        } catch {
            return "\(error)".replacing("\(directory.path)/", with: "")
        }
    }

    // MARK: - Precedence

    @Test func `flags precede variables, variables the file, the file the defaults`() throws {
        let file = "bind: file\nheartbeat: 3\nstate-directory: /file\nlog-level: debug\n"
        let settings = try settings(
            flags: ["bind": .text("flag")],
            environment: ["KFACD_BIND": "variable", "KFACD_HEARTBEAT": "2", "OTHER": "x"], file: file)
        #expect(settings.text("bind") == "flag")
        #expect(settings.integer("heartbeat") == 2)
        #expect(settings.text("state-directory") == "/file")
        #expect(settings.truth("end-with-input") == false)
        let path = directory.appending("c.yaml")
        #expect(
            settings.entries.map(\.source) == [
                .flag("bind"), .file(path: path, line: 3), .environment("KFACD_HEARTBEAT"), .standard, .standard,
                .file(path: path, line: 4),
            ])
    }

    @Test func `every kind can come from every layer`() throws {
        let file = "bind: 7733\nheartbeat: 5\nend-with-input: true\nroot: [/a, /b c]\n"
        for settings in [
            try settings(file: file),
            try settings(environment: [
                "KFACD_BIND": "7733", "KFACD_HEARTBEAT": "5", "KFACD_END_WITH_INPUT": "true", "KFACD_ROOT": "/a,/b c",
            ]),
            try settings(flags: [
                "bind": .text("7733"), "heartbeat": .integer(5), "end-with-input": .truth(true),
                "root": .list(["/a", "/b c"]),
            ]),
        ] {
            #expect(settings.text("bind") == "7733")
            #expect(settings.integer("heartbeat") == 5)
            #expect(settings.truth("end-with-input"))
            #expect(settings.list("root") == ["/a", "/b c"])
        }
    }

    @Test(arguments: ["", "# nothing but comments\n", "heartbeat:\nbind: ~\n"])
    func `an empty file, a key without a value and an empty variable say nothing`(file: String) throws {
        let settings = try settings(environment: ["KFACD_HEARTBEAT": ""], file: file)
        #expect(settings.entries.allSatisfy { $0.source == .standard })
    }

    // MARK: - Errors

    @Test(arguments: [
        ("bnid: x\n", "c.yaml:1: there is no setting \"bnid\". Did you mean \"bind\"?"),
        (
            "\n\nzzzzzzzzzzzz: x\n",
            "c.yaml:3: there is no setting \"zzzzzzzzzzzz\". Expected one of bind, state-directory, heartbeat, "
                + "end-with-input, root, log-level."
        ),
        ("heartbeat: 1s\n", "c.yaml:1: heartbeat is \"1s\"; expected a whole number."),
        ("# a\nbind: [a]\n", "c.yaml:2: bind is a list; expected a text."),
        ("end-with-input: perhaps\n", "c.yaml:1: end-with-input is \"perhaps\"; expected true or false."),
        ("root: /a\n", "c.yaml:1: root is \"/a\"; expected a list of texts."),
        ("root: [/a, [/b]]\n", "c.yaml:1: root is a list; expected a list of texts."),
        ("end-with-input: \"true\"\n", "c.yaml:1: end-with-input is \"true\"; expected true or false."),
        ("bind: {a: b}\n", "c.yaml:1: bind is a mapping; expected a value."),
        (
            "- a\n",
            "c.yaml: it holds no mapping. Expected a YAML mapping of settings, one \"key: value\" a line."
        ),
        (
            "bind: a\nbind: b\n",
            "c.yaml: line 1: \"bind\" stands there twice. Expected a YAML mapping of settings, one \"key: value\" a line."
        ),
    ])
    func `a file that cannot be used says where and what was expected`(file: String, message: String) {
        #expect(problem(file: file) == message)
    }

    @Test func `a file that is no YAML says where`() {
        #expect(problem(file: "bind: a\n  b: [\n")?.hasPrefix("c.yaml: line 2, column ") == true)
    }

    @Test func `everything that is wrong is told at once`() {
        #expect(
            problem(environment: ["KFACD_END_WITH_INPUT": "7"], file: "bnd: x\nheartbeat: soon\n") == """
                c.yaml:1: there is no setting "bnd". Did you mean "bind"?
                c.yaml:2: heartbeat is "soon"; expected a whole number.
                KFACD_END_WITH_INPUT: end-with-input is "7"; expected true or false.
                """)
    }

    @Test func `a file that is not there is named`() {
        #expect(
            throws: SettingsError.unreadableFile(path: "/nowhere/c.yaml", cause: "there is no such file")
        ) { try Settings(keys: keys, flags: [:], environment: [:], file: "/nowhere/c.yaml") }
        #expect(
            SettingsError.unreadableFile(path: "/c.yaml", cause: "there is no such file").description
                == "/c.yaml: the configuration file cannot be read: there is no such file.")
    }

    @Test func `a value that cannot be is named with its place`() throws {
        let settings = try settings(environment: ["KFACD_HEARTBEAT": "0"])
        #expect(
            settings.problem("heartbeat", "expected more than 0.")
                == "KFACD_HEARTBEAT: heartbeat is 0; expected more than 0.")
        #expect(
            settings.problem("state-directory", "expected a path.")
                == "default: state-directory is not set; expected a path.")
    }

    // MARK: - Showing and comparing

    @Test func `the settings are shown as a file that gives the same settings`() throws {
        let flags: [String: SettingValue] = [
            "bind": .text("tcp://[::1]:0"), "root": .list(["/a b", "no", "\"q\\"]), "log-level": .text("7"),
        ]
        let first = try settings(flags: flags)
        #expect(first.text.contains("bind: \"tcp://[::1]:0\""))
        #expect(first.text.contains("# state-directory:"))
        #expect(first.text.split(separator: "\n").first?.hasSuffix("  # --bind") == true)
        let second = try settings(file: first.text)
        #expect(second.entries.map(\.value) == first.entries.map(\.value))
    }

    @Test func `changes are found, and which of them need a restart`() throws {
        let old = try settings(file: "bind: a\nheartbeat: 1\n")
        let new = try settings(file: "bind: a\nheartbeat: 2\nlog-level: debug\n")
        let changes = old.changes(to: new)
        #expect(changes.map(\.key.name) == ["heartbeat", "log-level"])
        #expect(changes.map(\.key.isReloadable) == [false, true])
    }
}
