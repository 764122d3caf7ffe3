"""Word lists of the synthetic phone tasks, in English and Chinese.

Kept apart from the generator so that the rules in tasks.py stay readable. Lists whose name
ends in HELD_OUT are never used for training.
"""

# (English name, Chinese name) of applications the tasks may name.
APPS = [
    ("WeChat", "微信"), ("Chrome", "谷歌浏览器"), ("Settings", "设置"), ("YouTube", "油管"),
    ("Gmail", "邮箱"), ("Maps", "地图"), ("Taobao", "淘宝"), ("JD", "京东"), ("Meituan", "美团"),
    ("Weibo", "微博"), ("Bilibili", "哔哩哔哩"), ("TikTok", "抖音"), ("Camera", "相机"),
    ("Photos", "相册"), ("Calendar", "日历"), ("Clock", "时钟"), ("Calculator", "计算器"),
    ("Notes", "备忘录"), ("Music", "音乐"), ("Spotify", "网易云音乐"), ("Alipay", "支付宝"),
    ("Contacts", "通讯录"), ("Phone", "电话"), ("Messages", "短信"), ("Weather", "天气"),
    ("Files", "文件管理"), ("Amazon", "亚马逊"), ("WhatsApp", "企业微信"), ("Telegram", "钉钉"),
    ("Instagram", "小红书"), ("Twitter", "知乎"), ("Zoom", "腾讯会议"), ("Uber", "滴滴出行"),
    ("Booking", "携程"), ("Netflix", "爱奇艺"), ("App Store", "应用商店"), ("Health", "健康"),
    ("Wallet", "钱包"), ("Reddit", "豆瓣"), ("Didi", "高德地图"),
]

# What "current_app" says on the launcher.
HOME_NAMES = {"en": ["System Home", "Launcher"], "zh": ["系统桌面", "桌面"]}

# Controls that are switched on and off: (English label, Chinese label, extra English names, extra Chinese names).
TOGGLES = [
    ("Wi-Fi", "无线网络", ["wifi", "the wireless network", "WLAN"], ["WiFi", "无线网"]),
    ("Bluetooth", "蓝牙", ["bluetooth"], ["蓝牙功能"]),
    ("Airplane mode", "飞行模式", ["flight mode", "airplane mode"], ["航班模式"]),
    ("Dark mode", "深色模式", ["dark theme", "night theme"], ["夜间模式", "暗色主题"]),
    ("Location", "定位服务", ["GPS", "location services"], ["定位", "位置信息"]),
    ("Hotspot", "个人热点", ["tethering", "the mobile hotspot"], ["热点"]),
    ("Mobile data", "移动数据", ["cellular data", "4G data"], ["流量", "手机流量"]),
    ("Do not disturb", "勿扰模式", ["DND", "the quiet mode"], ["免打扰", "免打扰模式"]),
    ("Auto-rotate", "自动旋转", ["screen rotation"], ["屏幕旋转"]),
    ("Battery saver", "省电模式", ["power saving", "low power mode"], ["低电量模式", "节电模式"]),
    ("NFC", "NFC", ["contactless"], ["近场通信"]),
    ("Flashlight", "手电筒", ["the torch", "flash light"], ["手电", "电筒"]),
    ("Vibration", "振动", ["vibrate mode"], ["震动"]),
    ("Auto brightness", "自动亮度", ["adaptive brightness"], ["亮度自动调节"]),
]

# Things to tap: (English labels, Chinese labels, English phrases, Chinese phrases). A phrase
# tells what the user wants without (or besides) naming the label.
CONCEPTS = [
    (["Search"], ["搜索"], ["look something up", "find something", "open search"], ["查找东西", "打开搜索", "找点东西"]),
    (["Share"], ["分享"], ["share this with a friend", "forward this", "share this"], ["分享给朋友", "转发这个", "转发一下"]),
    (["Download"], ["下载"], ["download this", "get this file"], ["把这个下载下来", "下载这个"]),
    (["Save"], ["保存"], ["save the changes", "store this", "keep my changes"], ["保存修改", "存一下", "存下来"]),
    (["Delete"], ["删除"], ["remove this", "delete this", "get rid of this"], ["删掉这个", "删了它", "移除这个"]),
    (["Edit"], ["编辑"], ["change this", "edit this", "modify the content"], ["修改内容", "编辑一下", "改一下"]),
    (["Cancel"], ["取消"], ["cancel this", "abort"], ["取消操作", "不要了"]),
    (["OK", "Confirm"], ["确定", "确认"], ["confirm this", "agree"], ["确认一下", "同意"]),
    (["Next"], ["下一步"], ["continue", "go to the next step", "proceed"], ["继续", "进入下一步"]),
    (["Like"], ["点赞"], ["give it a thumbs up", "like this post", "like this video"], ["点个赞", "给个赞", "赞一下"]),
    (["Comment"], ["评论"], ["write a comment", "read the comments", "leave a comment"], ["写评论", "看评论", "看看大家怎么说"]),
    (["Follow"], ["关注"], ["follow this author", "subscribe"], ["关注博主", "关注作者", "订阅"]),
    (["Favorites"], ["收藏"], ["bookmark this", "see my bookmarks", "add this to favorites"], ["收藏一下", "看我的收藏", "加到收藏夹"]),
    (["Add to cart"], ["加入购物车"], ["put this in my cart", "put it in the basket"], ["放进购物车", "加购"]),
    (["Cart"], ["购物车"], ["open my cart", "see my shopping basket", "see what is in my basket"], ["看购物车", "打开购物车", "看我要买的东西"]),
    (["Buy now"], ["立即购买"], ["buy this", "purchase this item", "order this"], ["买这个", "下单", "马上买"]),
    (["Orders"], ["我的订单"], ["check my orders", "see what I bought", "see my order history"], ["查订单", "看看我买了什么", "看订单"]),
    (["Address"], ["收货地址"], ["change where parcels are sent", "set the delivery address"], ["改地址", "修改送货地址"]),
    (["Coupons"], ["优惠券"], ["see my discounts", "use a voucher"], ["看看有什么优惠", "领券"]),
    (["Customer service"], ["联系客服"], ["talk to support", "contact the seller", "get help from a person"], ["找客服", "问客服", "联系卖家"]),
    (["Me", "Profile"], ["我的", "个人中心"], ["open my profile", "see my account page"], ["看个人主页", "打开个人页面"]),
    (["Discover"], ["发现"], ["explore new things"], ["看看新鲜事"]),
    (["Moments"], ["朋友圈"], ["see what my friends posted", "see my friends' posts"], ["看朋友发了什么", "看好友动态", "刷朋友圈"]),
    (["Scan"], ["扫一扫"], ["scan a QR code", "scan the code"], ["扫二维码", "扫码"]),
    (["Pay"], ["付款"], ["pay the bill", "make the payment"], ["付钱", "结账", "买单"]),
    (["Transfer"], ["转账"], ["send money", "transfer money to a friend"], ["转钱", "给朋友打钱"]),
    (["Album"], ["图库"], ["choose a picture", "see my pictures"], ["选一张照片", "看照片"]),
    (["Shutter"], ["快门"], ["take a picture", "take a photo"], ["拍照", "拍张照片"]),
    (["Play"], ["播放"], ["start the video", "start the music", "start playing"], ["开始播放", "放视频", "放歌"]),
    (["Pause"], ["暂停"], ["stop the music", "pause the video", "stop playing"], ["停止播放", "暂停一下", "先停一下"]),
    (["Next song"], ["下一首"], ["skip this song", "play the next track"], ["换一首歌", "切歌"]),
    (["Volume"], ["音量"], ["make it louder", "change the loudness"], ["大声一点", "调声音大小"]),
    (["Subtitles"], ["字幕"], ["show captions", "turn on captions"], ["显示字幕", "看字幕"]),
    (["Full screen"], ["全屏"], ["make the video bigger", "watch in full screen"], ["全屏看", "放大视频"]),
    (["History"], ["历史记录"], ["see what I watched", "see what I opened before"], ["看浏览记录", "看看过什么"]),
    (["Refresh"], ["刷新"], ["reload the page", "update the page"], ["重新加载", "刷新页面"]),
    (["Filter"], ["筛选"], ["narrow the results", "filter the results"], ["筛选结果", "缩小范围"]),
    (["Sort"], ["排序"], ["sort by price", "change the order of the list"], ["按价格排", "换个顺序"]),
    (["Sign in", "Log in"], ["登录"], ["sign in to my account", "log in to my account"], ["登录账号", "登进去"]),
    (["Sign out", "Log out"], ["退出登录"], ["leave my account", "log out of my account"], ["退出账号", "登出"]),
    (["Register", "Sign up"], ["注册"], ["create an account", "make a new account"], ["新建账号", "注册账号"]),
    (["Forgot password"], ["忘记密码"], ["reset my password"], ["找回密码", "重置密码"]),
    (["Directions"], ["路线"], ["find the way there", "get the route", "navigate there"], ["导航过去", "怎么走", "查路线"]),
    (["Nearby"], ["附近"], ["see what is around me", "find places close to me"], ["看看周围有什么", "周边有什么"]),
    (["Call"], ["呼叫"], ["make a phone call", "dial this number"], ["打电话", "拨号"]),
    (["Video call"], ["视频通话"], ["start a video chat", "call with the camera"], ["打视频", "视频聊天"]),
    (["Record"], ["录音"], ["record my voice", "start a recording"], ["录个音", "录下声音"]),
    (["Alarm"], ["闹钟"], ["set a wake-up time", "wake me up tomorrow"], ["设置起床时间", "明天叫我起床"]),
    (["Timer"], ["计时器"], ["start a countdown", "count down ten minutes"], ["倒计时", "开始计时"]),
    (["New note"], ["新建笔记"], ["write something down", "create a note"], ["记点东西", "写笔记"]),
    (["Display"], ["显示"], ["change the screen settings", "change the font size"], ["调屏幕设置", "调字体大小"]),
    (["Sound"], ["声音"], ["change the ringtone", "open sound settings"], ["换铃声", "改铃声"]),
    (["Notifications"], ["通知"], ["manage alerts", "see my alerts"], ["管理提醒", "看提醒"]),
    (["Storage"], ["存储"], ["see how much space is left", "free up space"], ["看剩余空间", "清理空间"]),
    (["Battery"], ["电池"], ["see how much power is left", "check the charge"], ["看电量", "查电量"]),
    (["About phone"], ["关于手机"], ["see the phone model", "find the version of the system"], ["看手机型号", "查系统版本"]),
    (["Language"], ["语言"], ["switch to another language", "change the language"], ["换语言", "切换语言"]),
    (["Privacy"], ["隐私"], ["manage permissions", "see what apps may access"], ["管理权限", "看权限"]),
    (["Password"], ["密码"], ["change the lock code", "set a screen lock"], ["改锁屏", "设置锁屏"]),
    (["Wallpaper"], ["壁纸"], ["change the background picture", "set a new background"], ["换背景", "换背景图"]),
    (["Software update"], ["系统更新"], ["update the system", "check for a new version"], ["升级系统", "检查新版本"]),
    (["Help"], ["帮助"], ["get help", "read the manual"], ["看说明", "看使用指南"]),
    (["Menu", "More"], ["菜单", "更多"], ["see more options", "open the menu"], ["看更多选项", "打开菜单"]),
    (["Close", "Skip"], ["关闭", "跳过"], ["skip the ad", "close this window"], ["跳过广告", "关掉弹窗"]),
    (["Translate"], ["翻译"], ["read this in my language"], ["看译文"]),
    (["Copy"], ["复制"], ["copy this text", "copy the link"], ["复制链接", "拷贝文字"]),
    (["Paste"], ["粘贴"], ["paste the text", "insert what I copied"], ["贴上文字"]),
    (["Print"], ["打印"], ["print this page", "put this on paper"], ["打印这一页"]),
    (["Report"], ["举报"], ["report this post", "complain about this"], ["投诉"]),
    (["Block"], ["拉黑"], ["block this person", "stop hearing from this person"], ["屏蔽这个人"]),
    (["Reply"], ["回复"], ["answer this message", "write back"], ["回一下", "回消息"]),
    (["Attach"], ["附件"], ["add a file", "attach a document"], ["加个文件", "添加文件"]),
    (["Inbox"], ["收件箱"], ["read my mail", "check my email"], ["看邮件", "查邮件"]),
    (["Hotels"], ["酒店"], ["book a room", "find a place to stay"], ["订房间", "找住的地方"]),
    (["Flights"], ["机票"], ["book a plane ticket", "fly somewhere"], ["订飞机票", "坐飞机"]),
    (["Trains"], ["火车票"], ["book a train ticket", "travel by train"], ["订高铁", "坐高铁"]),
    (["Takeout"], ["外卖"], ["order food", "get some food delivered"], ["点餐", "叫吃的"]),
    (["Movies"], ["电影"], ["see what is in the cinema", "book a movie ticket"], ["看影片", "买影票"]),
]

EN_NOUNS = """apple river garden train coffee winter summer market window paper silver golden dragon forest
mountain ocean bridge castle dinner lunch budget meeting project team school family travel video movie
cat dog bird fish tiger panda rabbit horse laptop watch shoes shirt jacket chair table lamp pizza noodle
rice soup salad cake bread milk tea juice sugar pepper flower tree island beach lake desert star moon sun cloud rain
snow storm wind fire light shadow dream story novel poem news sport football tennis chess puzzle game piano guitar
violin drum dance theater museum library hospital airport station hotel office factory farm village city street
planet rocket robot engine battery cable keyboard mouse printer ticket passport letter stamp gift party birthday
wedding holiday weekend morning evening night yoga fitness running cycling swimming history science math physics
biology cooking baking painting design fashion beauty medicine doctor teacher student driver pilot artist""".split()

EN_NOUNS_HELD_OUT = """lemon canyon harbor violet marble falcon orchid walnut copper meadow pebble lantern
saddle turbine compass velvet anchor thunder magnet pillow""".split()

EN_ADJECTIVES = """red blue green black white new old big small best cheap fast fresh happy quiet daily weekly
monthly local modern classic simple hot cold sweet early late free deep easy""".split()

EN_NAMES = """Alice Bob Carol David Emma Frank Grace Henry Iris Jack Kate Liam Mia Noah Olivia Peter Quinn Rose
Sam Tina Victor Wendy Anna Ben Chloe Daniel Eva Felix Hannah Ivan Julia Kevin Laura Mark Nina Oscar Paul Rachel
Steve Tom Mom Dad Boss Grandma Coach""".split()

EN_NAMES_HELD_OUT = "Arthur Bella Cedric Diana Elliot Fiona Gavin Helena Ingrid Jonas".split()

EN_TEXTS = """hello|good morning|good night|see you tomorrow|I am on my way|happy birthday|thank you very much|
where are you|call me back|I will be late|the meeting is at 3|dinner at 7|well done|good luck|I miss you|
let us meet at the station|are you free tonight|please send me the file|the package has arrived|I am busy now|
have a nice weekend|running late, sorry|what time is it|can we talk|ok|got it|on my way home""".replace("\n", "").split("|")

EN_TEXTS_HELD_OUT = """the keys are under the mat|bring an umbrella|congratulations on the new job|
I finished the report|let us play cards on Sunday|my train leaves at 9""".replace("\n", "").split("|")

ZH_NOUNS = """苹果 河流 花园 火车 咖啡 冬天 夏天 市场 窗户 报纸 银河 黄金 龙 森林 高山 大海 大桥 城堡 晚饭 午餐 预算 会议 项目 团队
学校 家庭 旅行 照片 视频 电影 小猫 小狗 小鸟 老虎 熊猫 兔子 马 电脑 手表 鞋子 衬衫 外套 椅子 桌子 台灯 披萨 面条
米饭 汤 沙拉 蛋糕 面包 牛奶 红茶 果汁 白糖 鲜花 大树 海岛 沙滩 湖水 沙漠 星星 月亮 太阳 白云 下雨 大雪 风 火 灯光 故事 小说 诗
新闻 体育 足球 网球 象棋 游戏 钢琴 吉他 舞蹈 剧院 博物馆 图书馆 医院 机场 车站 酒店 办公室 工厂 农场 村庄 城市 街道 火箭 机器人
电池 键盘 鼠标 车票 护照 信件 邮票 礼物 聚会 生日 婚礼 假期 周末 早上 晚上 瑜伽 健身 跑步 骑车 游泳 历史 科学 数学 物理 做饭 烘焙
绘画 设计 时尚 美容 医生 老师 学生 司机 画家 北京 上海 广州 成都 西安 杭州 火锅 烤鸭 饺子 包子 奶茶 豆浆""".split()

ZH_NOUNS_HELD_OUT = "柠檬 峡谷 港口 大理石 猎鹰 兰花 核桃 草原 灯笼 指南针 雷声 枕头 南京 武汉 馄饨".split()

ZH_ADJECTIVES = "红色 蓝色 绿色 黑色 白色 新款 旧 大 小 最好的 便宜的 快速 新鲜 快乐 安静的 每日 每周 本地 现代 经典 简单 热门 免费".split()

ZH_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
ZH_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红飞鹏"
ZH_NAMES = ["妈妈", "爸爸", "老板", "奶奶", "教练", "小王", "小李", "老张"]
ZH_SURNAMES_HELD_OUT = "梁宋郑谢韩"

ZH_TEXTS = """你好|早上好|晚安|明天见|我在路上了|生日快乐|谢谢你|你在哪里|给我回电话|我会晚到|三点开会|七点吃饭|干得好|祝你好运|
想你了|在车站见|今晚有空吗|请把文件发给我|快递到了|我现在很忙|周末愉快|对不起，我迟到了|现在几点|可以聊聊吗|好的|收到|马上到家""".replace("\n", "").split("|")

ZH_TEXTS_HELD_OUT = "钥匙在垫子下面|记得带伞|恭喜你换了新工作|报告写完了|周日一起打牌吧|我的火车九点开".split("|")

# Characters for made-up labels and texts, so that copying does not depend on known words.
ZH_CHARS = """的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经
十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关
各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式
活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热
领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离
华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办
青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火
住调满县局照参红细引听该铁价严龙飞""".replace("\n", "")

# Talk that is no phone task. {x} is filled with a noun, {n}/{m} with numbers.
GREETINGS = {
    "en": ["Hi", "Hello", "Hey", "Hi there", "Good morning", "Good evening", "Hello!", "hi", "hello", "How are you?",
           "Hey there", "Greetings", "Good afternoon", "What's up?", "Yo", "Nice to meet you", "Hi!", "hey"],
    "zh": ["你好", "您好", "嗨", "早上好", "晚上好", "你好！", "在吗", "你好呀", "哈喽", "大家好", "下午好", "很高兴认识你", "在不在", "你好吗"],
}
GREETINGS_HELD_OUT = {"en": ["Hello there", "Hey, how are you?"], "zh": ["嗨，你好", "你好啊"]}
IDENTITY = {
    "en": ["Who are you?", "What are you?", "What can you do?", "What is your name?", "Introduce yourself", "Are you a robot?",
           "How can you help me?", "Tell me about yourself", "What is this?", "Which model are you?", "What do you do?", "help", "Help me"],
    "zh": ["你是谁", "你是谁？", "你能做什么", "你会做什么？", "你叫什么名字", "介绍一下你自己", "你是机器人吗", "你能帮我什么", "你是什么模型", "这是什么", "你有什么功能", "你可以干什么"],
}
IDENTITY_HELD_OUT = {"en": ["Who are you and what can you do?"], "zh": ["请介绍一下自己"]}
THANKS = {
    "en": ["Thanks", "Thank you", "Thank you!", "Thanks a lot", "Great job", "Well done", "Bye", "Goodbye", "See you", "Good night"],
    "zh": ["谢谢", "谢谢你", "多谢", "太好了", "干得好", "再见", "拜拜", "辛苦了", "晚安", "非常感谢"],
}
THANKS_HELD_OUT = {"en": ["Thanks, bye"], "zh": ["谢谢，再见"]}
OFF_TOPIC = {
    "en": ["What is the capital of France?", "What is {n} + {m}?", "{n} * {m} = ?", "Write a poem about the {x}", "Tell me a joke",
           "Tell me a story about a {x}", "Explain {x} to me", "What is {x}?", "How do I make {x}?", "Who invented the {x}?", "Why is the {x} so {a}?",
           "Translate {x} into French", "Give me three ideas for a {x}", "Who won the match?", "What is the meaning of life?", "Do you like {x}?",
           "Write a function that sorts a list", "Write some Python code", "How far is the {x}?", "What day is it today?", "What time is it?",
           "Is it going to rain tomorrow?", "Recommend a {x} for me", "How old is the {x}?", "Sing a song", "Compare {x} and {y}", "I feel sad",
           "I like {x}", "What do you think about {x}?", "Where does {x} come from?", "Summarize the book about {x}", "When was the {x} built?",
           "Can you speak Chinese?", "How many people live in the {x}?", "Which is better, {x} or {y}?", "Why do we need {x}?", "My {x} is {a}"],
    "zh": ["法国的首都是哪里？", "{n}加{m}等于几", "{n}*{m}=?", "写一首关于{x}的诗", "讲个笑话", "讲一个{x}的故事", "解释一下{x}", "{x}是什么？", "怎么做{x}？",
           "谁发明了{x}？", "为什么{x}是{a}的？", "把{x}翻译成英文", "给我三个关于{x}的建议", "谁赢了比赛", "人生的意义是什么", "你喜欢{x}吗", "写一个排序函数", "写一段代码",
           "{x}有多远", "今天星期几", "现在几点了", "明天会下雨吗", "推荐一个{x}", "{x}有多少年了", "唱首歌", "比较{x}和{y}", "我很难过", "我喜欢{x}", "你觉得{x}怎么样",
           "{x}是从哪里来的", "总结一下{x}", "你会说英文吗", "{x}和{y}哪个好", "为什么要有{x}", "我的{x}坏了"],
}
OFF_TOPIC_HELD_OUT = {
    "en": ["Why do people like {x}?", "Describe a {x}", "Is {x} better than {y}?", "Write an essay about {x}"],
    "zh": ["为什么大家喜欢{x}？", "描述一下{x}", "写一篇关于{x}的文章", "{x}比{y}好吗"],
}
