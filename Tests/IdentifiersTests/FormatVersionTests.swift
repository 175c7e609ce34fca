import Identifiers
import Testing

/// How stated versions are read, and which are refused.
struct FormatVersionTests {
    private let known = FormatVersion("kfacd.sample", 2)

    @Test func `a version is read as it is written`() {
        #expect(FormatVersion("kfacd.sample/2") == known)
        #expect(known.description == "kfacd.sample/2")
    }

    @Test(arguments: ["", "a", "a/", "/2", "a/0", "a/02", "a/-1", "a/+1", "a/1/2", "a/1x", "a/99999999999999999999"])
    func `anything else is no version`(text: String) {
        #expect(FormatVersion(text) == nil)
        #expect(known.problem(with: text) == .malformed(text, expected: known))
    }

    @Test func `the same version is read, and earlier ones where that is said`() {
        #expect(known.problem(with: "kfacd.sample/2") == nil)
        #expect(known.problem(with: "kfacd.sample/1", oldest: 1) == nil)
    }

    @Test func `each problem says what was found, what is read, and what to do`() {
        func sentence(_ stated: String?) -> String { known.problem(with: stated)?.description ?? "" }
        #expect(
            sentence("kfacd.sample/3")
                == "is of the format \"kfacd.sample/3\", which a later version of kfacd wrote; this one reads "
                + "\"kfacd.sample/2\". Use the version that wrote it, or a later one.")
        #expect(
            sentence("kfacd.sample/1")
                == "is of the format \"kfacd.sample/1\", which an earlier version of kfacd wrote; this one reads "
                + "\"kfacd.sample/2\". Make it again with this version.")
        #expect(
            sentence("other/2")
                == "is of the format \"other/2\"; expected \"kfacd.sample/2\". Name another, or restore it if it is "
                + "damaged.")
        #expect(
            sentence("what")
                == "states the format \"what\"; expected \"kfacd.sample/2\". It is damaged, or no file of kfacd.")
        #expect(
            sentence(nil) == "states no format; expected \"kfacd.sample/2\". It is damaged, or no file of kfacd.")
    }
}
