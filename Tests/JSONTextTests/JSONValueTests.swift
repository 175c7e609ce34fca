import JSONText
import SystemPackage
import TestSupport
import Testing

/// The small JSON texts beside tensors.
struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8), file: "c.json") }

    private func error(_ text: String) -> String? {
        errorMessage { () throws(JSONError) in _ = try JSONValue(parsing: Array(text.utf8), file: "c.json") }
    }

    @Test func `order and digits survive a rewrite`() throws {
        let text = #"{"z":1e-05,"a":[true,false,null,-0.10,"é\n\u0001\"\\"],"o":{},"l":[]}"#
        #expect(try parse(text).text() == text)
    }

    @Test func `a rewrite with indentation puts one member on a line`() throws {
        #expect(
            try parse(#"{"a":[1,{"b":2}],"c":{}}"#).text(indent: 2) == """
                {
                  "a": [
                    1,
                    {
                      "b": 2
                    }
                  ],
                  "c": {}
                }
                """
        )
    }

    @Test(arguments: [
        ("", "c.json: byte 0 is the end of the text; expected a value."),
        ("[1,]", "c.json: byte 3 is \"]\"; expected a value."),
        ("01", "c.json: byte 1 is \"1\"; expected the end of the text."),
        ("1.", "c.json: byte 2 is the end of the text; expected a digit."),
        ("{\"a\":1,\"a\":2}", "c.json: an object names \"a\" twice; expected every key once."),
        ("tru", "c.json: byte 0 is \"t\"; expected a value."),
        ("\"a", "c.json: byte 2 is the end of the text; expected the end of the string."),
        (#""\u12g4""#, "c.json: byte 5 is \"g\"; expected four hexadecimal digits."),
        (#""\udc00""#, "c.json: byte 7 is \"\"\"; expected a surrogate pair."),
    ])
    func `text that is not JSON is refused with the byte`(text: String, message: String) {
        #expect(error(text) == message)
    }

    @Test func `depth is bounded`() {
        #expect(
            error(String(repeating: "[", count: 100_000))
                == "c.json: byte 64 is \"[\"; expected at most 64 objects and lists inside each other."
        )
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(
            errorMessage { () throws(JSONError) in
                _ = try JSONValue(parsing: [0x22, 0xC3, 0x22], file: "c.json")
            }
                == "c.json: byte 1 is byte value 195; expected UTF-8."
        )
    }
}
