import Console
import Testing

struct ErrorLinesTests {
    @Test func `every problem has the heading of an error, whoever found it`() {
        #expect(Terminal.errorLines("the disk is full.") == ["error: the disk is full."])
        #expect(Terminal.errorLines("one.\n\ntwo.") == ["error: one.", "error: two."])
        #expect(Terminal.errorLines("error: one.") == ["error: one."])
    }

    @Test func `the parser's heading of an error becomes ours, and its others stay`() {
        let text = "Error: Missing expected argument '<job>'\nHelp: <job>  The job.\nUsage: kfacctl run\n  See more."
        let expected = [
            "error: Missing expected argument '<job>'", "Help: <job>  The job.", "Usage: kfacctl run", "  See more.",
        ]
        #expect(Terminal.errorLines(text) == expected)
    }
}
