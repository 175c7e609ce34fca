import NameMatching
import Testing

@Suite struct NearestNameTests {
    private let keys = ["layers", "normalization", "damping", "regularizer"]

    @Test(arguments: [
        ("layrs", "layers"), ("normalisation", "normalization"), ("Damping", "damping"), ("regulariser", "regularizer"),
        ("dampnig", "damping"),
    ])
    func `a misspelt name is recognised`(written: String, meant: String) {
        #expect(nearestName(to: written, among: keys) == meant)
        #expect(suggestion(for: written, among: keys) == " Did you mean \"\(meant)\"?")
    }

    @Test(arguments: ["", "x", "tokenizer_source", "completely different"])
    func `a name that is near nothing gets no suggestion`(written: String) {
        #expect(nearestName(to: written, among: keys) == nil)
        #expect(suggestion(for: written, among: keys) == "")
    }

    @Test func `of equally near names the first is meant`() {
        #expect(nearestName(to: "fc3", among: ["fc1", "fc2"]) == "fc1")
        #expect(nearestName(to: "fc1", among: [String]()) == nil)
    }
}
